"""Less light on faces than on what is around them: faces in the shade, and skin darker than the pictures' most."""

import random

import cv2
import numpy as np

from training.geometry import Boxes, Faces, Pixels

__all__ = ["shade"]

_SMALLEST = 8.0
_DARKEST, _LIGHTEST = 0.35, 0.85
"""Of the light on a face so much is left."""
_ELSEWHERE = 0.5
"""For so many of the faces another place is darkened too, so that a shade does not tell of a face."""


def shade(pixels: Pixels, faces: Faces, rng: random.Random) -> None:
    """Darken the faces of at least 8 pixels, in place: all by about the same part, softly towards the hair.

    Args:
        pixels: (H, W, 3), BGR; what is darker keeps more of its red than of its blue, as skin does.
        faces: (G, 16).
        rng: Decides how much, and which other places are darkened.
    """
    height, width = pixels.shape[:2]
    light = rng.uniform(_DARKEST, _LIGHTEST)
    for box in faces[:, :4]:
        size = box[2:] - box[:2]
        if size.min() < _SMALLEST:
            continue
        _darken(pixels, box, light, rng)
        if rng.random() < _ELSEWHERE:
            corner = np.array([rng.uniform(0, width), rng.uniform(0, height)], np.float32) - size / 2
            _darken(pixels, np.concatenate([corner, corner + size]), light, rng)


def _darken(pixels: Pixels, box: Boxes, light: float, rng: random.Random) -> None:
    left = np.array([rng.uniform(0.85, 1.0), rng.uniform(0.92, 1.0), 1.0], np.float32)
    left *= min(1.0, light * rng.uniform(0.9, 1.1))
    (width, height), (middle_x, middle_y) = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    x1, y1 = max(0, int(middle_x - width)), max(0, int(middle_y - height))
    window = pixels[y1 : int(middle_y + height), x1 : int(middle_x + width)]
    reach = rng.uniform(0.5, 0.7)
    x = (np.arange(window.shape[1], dtype=np.float32) + (x1 + 0.5 - middle_x)) / (reach * width)
    y = (np.arange(window.shape[0], dtype=np.float32) + (y1 + 0.5 - middle_y)) / (reach * height)
    # From 0.8 of the oval's radius to 1.2 the shade ends.
    within = np.clip((1.2 - np.sqrt(y[:, None] ** 2 + x[None] ** 2)) / 0.4, 0, 1)[..., None]
    window[:] = cv2.multiply(window.astype(np.float32), 1 - within * (1 - left)).round().astype(np.uint8)
