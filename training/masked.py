"""Faces that the service has masked already: no faces any more, but what looks most like one."""

import random
from typing import Final

import numpy as np

from native import kernels
from training.geometry import Pixels, View

__all__ = ["mask_faces"]

_METHODS: Final = ("gaussian", "pixelate", "solid", "ellipse", "ellipse")
_SMALLEST: Final = 14
"""Smaller ones (pixels) stay: a blurred patch of 10 pixels may as well be a face."""


def mask_faces(view: View, rng: random.Random) -> View:
    """Mask most faces of a view by one of the service's methods; a masked one is no face.

    Args:
        view: Not changed.
        rng: Draws the method, its strength, the padding, and the faces.
    """
    pixels = np.ascontiguousarray(view.pixels.copy())
    method = rng.choice(_METHODS)
    padding = rng.uniform(0.0, 0.3)
    # Strengths that leave no feature; the default of 199 pixels is more than most faces have.
    strength = rng.uniform(0.7, 2.5) if method in {"gaussian", "ellipse"} else rng.uniform(0.25, 1.0)
    kept = np.ones(len(view.faces), bool)
    for index, face in enumerate(view.faces):
        side = float(min(face[2] - face[0], face[3] - face[1]))
        if side >= _SMALLEST and rng.random() < 0.8:
            _mask(pixels, _region(pixels, face, padding), method, round(side * strength))
            kept[index] = False
    return View(pixels, view.faces[kept], view.ignore)


def _region(pixels: Pixels, face: np.ndarray, padding: float) -> tuple[int, int, int, int]:
    height, width = pixels.shape[:2]
    wide, high = (face[2] - face[0]) * padding, (face[3] - face[1]) * padding
    return (
        max(0, int(face[0] - wide)),
        max(0, int(face[1] - high)),
        min(width, int(face[2] + wide) + 1),
        min(height, int(face[3] + high) + 1),
    )


def _mask(pixels: Pixels, region: tuple[int, int, int, int], method: str, strength: int) -> None:
    match method:
        case "gaussian":
            kernels.gaussian(pixels, *region, strength | 1)
        case "ellipse":
            kernels.ellipse(pixels, *region, strength | 1)
        case "pixelate":
            kernels.pixelate(pixels, *region, max(2, strength))
        case _:
            kernels.solid(pixels, *region)
