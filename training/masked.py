"""Faces masked as the service masks them: no faces any more, but what looks most like one."""

import random
from typing import Final

import cv2
import numpy as np

from training.anchors import iou
from training.geometry import Pixels, View

__all__ = ["mask_faces"]

# Ovals twice: with hair and ears around them they look most like a face.
_METHODS: Final = ("gaussian", "pixelate", "solid", "elliptical", "elliptical")
_SERVED_PADDING: Final = 0.15
_SERVED: Final = 0.6
"""The service's padding if a request asks for none, and the share of the views that have it."""
_FINE_SIGMA: Final = 4.0
_SMALLEST: Final = 8
_SMALLEST_BLURRED: Final = 14
"""Smaller ones (pixels) are masked by ovals of one colour only: a blurred patch of 10 may as well be a face."""
_SAME: Final = 0.8
"""The least IoU of a place's two boxes."""
_FINER: Final = 8
"""An oval's edge is that of one drawn on so many times as many pixels: the service masks before it reduces."""


def mask_faces(view: View, rng: random.Random) -> View:
    """Mask most faces of a view by one method; a masked one is no face.

    Args:
        view: Not changed.
        rng: Draws the method, its strength, the padding, and the faces.
    """
    pixels = np.ascontiguousarray(view.pixels.copy())
    method = rng.choice(_METHODS)
    padding = _SERVED_PADDING if rng.random() < _SERVED else rng.uniform(0.0, 0.3)
    strength = rng.random()
    kept = np.ones(len(view.faces), bool)
    for index, face in enumerate(view.faces):
        side = float(min(face[2] - face[0], face[3] - face[1]))
        small = side < _SMALLEST_BLURRED
        if side >= _SMALLEST and rng.random() < 0.8:
            part = _padded(pixels, face, padding)
            part[:] = _plain_oval(part) if small else _masked(part, method, strength)
            kept[index] = False
    # A doubtful place is an ignored one, too, until it is masked.
    known = (iou(view.ignore, view.faces[~kept, :4]) >= _SAME).any(1)
    return View(pixels, view.faces[kept], view.ignore[~known])


def _padded(pixels: Pixels, face: np.ndarray, padding: float) -> Pixels:
    """The face's pixels and those around it, as a view."""
    wide, high = (face[2] - face[0]) * padding, (face[3] - face[1]) * padding
    return pixels[
        max(0, int(face[1] - high)) : int(face[3] + high) + 1,
        max(0, int(face[0] - wide)) : int(face[2] + wide) + 1,
    ]


def _masked(part: Pixels, method: str, strength: float) -> Pixels:
    """What stands in the place of a face, (H, W, 3); even at a strength of 0 no feature is left."""
    height, width = part.shape[:2]
    if method == "solid":
        return np.zeros_like(part)
    if method == "pixelate":
        cells = max(1, round(4 - 3 * strength))
        small = cv2.resize(part, (cells, cells), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    # The service's strength is in pixels of the picture: on small faces nearly one colour is left.
    sigma = min(width, height) * 0.18 * 5.0**strength
    blurred = _blurred(part, sigma)
    if method == "gaussian":
        return blurred
    inside = np.zeros((height, width, 1), np.uint8)
    cv2.ellipse(inside, ((width / 2, height / 2), (width, height), 0), 1, -1)
    return np.where(inside > 0, blurred, part)


def _plain_oval(part: Pixels) -> Pixels:
    """What an oval of the service's leaves of a face of 10 pixels whose picture it reduces: one colour, soft edges."""
    height, width = part.shape[:2]
    fine = np.zeros((height * _FINER, width * _FINER), np.float32)
    cv2.ellipse(fine, ((fine.shape[1] / 2, fine.shape[0] / 2), (fine.shape[1], fine.shape[0]), 0), 1.0, -1)
    inside = np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA))[..., None]
    return np.asarray(np.rint(part * (1 - inside) + part.mean((0, 1)) * inside), np.uint8)


def _blurred(part: Pixels, sigma: float) -> Pixels:
    """A Gaussian blur; a wide one of a reduced copy, which nobody can tell apart, since it takes most of the time."""
    height, width = part.shape[:2]
    reduced = max(1.0, sigma / _FINE_SIGMA)
    if reduced > 1:
        smaller = (max(1, round(width / reduced)), max(1, round(height / reduced)))
        part = np.asarray(cv2.resize(part, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    blurred = cv2.GaussianBlur(part, (0, 0), sigma / reduced)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
