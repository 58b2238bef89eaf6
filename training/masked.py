"""Faces masked as the service masks them: no faces any more, but what looks most like one."""

import random
from typing import Final

import cv2
import numpy as np

from training.anchors import iou
from training.geometry import Boxes, Pixels, View

__all__ = ["mask_by_ovals", "mask_faces"]

# Ovals twice: with hair and ears around them they look most like a face.
_METHODS: Final = ("gaussian", "pixelate", "solid", "elliptical", "elliptical")
_SERVED_PADDING: Final = 0.2
"""What the service adds to a label's box if a request asks for no padding: boxes too large by 7 or 8 %, and 15 %."""
_SERVED: Final = 0.6
"""The share of the views that have it."""
_DEFAULT_PADDING: Final = 0.15
"""What the service adds to a box that it found, if a request asks for no padding."""
_FINE_SIGMA: Final = 4.0
_SMALLEST: Final = 5
_SMALLEST_BLURRED: Final = 14
"""Smaller ones (pixels) are masked by ovals of one colour only: a blurred patch of 10 may as well be a face.

They have about the served padding: where less is hidden, it may as well be a face, too.
"""
_SAME: Final = 0.8
"""The least IoU of a place's two boxes."""
_FINEST: Final = 4
"""A picture has up to so many times as many pixels as the view: the service masks it before it reduces it."""


def mask_faces(view: View, rng: random.Random, *, ovals: bool = False) -> View:
    """Mask most faces of a view by one method; a masked one is no face.

    Args:
        view: Not changed.
        rng: Draws the method, its strength, the padding, and the faces.
        ovals: Whether the method is to be ovals.
    """
    pixels = np.ascontiguousarray(view.pixels.copy())
    drawn = rng.choice(_METHODS)
    method = "elliptical" if ovals else drawn
    padding = _SERVED_PADDING if rng.random() < _SERVED else rng.uniform(0.0, 0.3)
    strength, finer = rng.random(), rng.randint(1, _FINEST)
    kept = np.ones(len(view.faces), bool)
    for index, face in enumerate(view.faces):
        side = float(min(face[2] - face[0], face[3] - face[1]))
        if side < _SMALLEST or rng.random() >= 0.8:
            continue
        kept[index] = False
        small = side < _SMALLEST_BLURRED
        box = _padded(face, _SERVED_PADDING + rng.uniform(-0.06, 0.06) if small else padding, finer)
        part = _part(pixels, box)
        mask = _of_one_colour(part) if small else _masked(part, method, strength)
        if small or method == "elliptical":
            _cover(part, mask, box, finer)
        else:
            part[:] = mask
    # A doubtful place is an ignored one, too, until it is masked.
    known = (iou(view.ignore, view.faces[~kept, :4]) >= _SAME).any(1)
    return View(pixels, view.faces[kept], view.ignore[~known], view.faces[~kept, :4])


def mask_by_ovals(image: Pixels, boxes: Boxes) -> Pixels:
    """Return a picture with an oval of one colour over each box (N, 4), pixels, padded as by the service.

    The service's blur leaves nearly one colour of a small face; of one of some hundred pixels it leaves more.
    """
    masked = image.copy()
    for found in boxes:
        box = _padded(found, _DEFAULT_PADDING, 1)
        part = _part(masked, box)
        _cover(part, _of_one_colour(part), box, 1)
    return masked


def _of_one_colour(part: Pixels) -> np.ndarray:
    return np.broadcast_to(part.mean((0, 1)), part.shape)


def _cover(part: Pixels, mask: np.ndarray, box: np.ndarray, finer: int) -> None:
    """Lay the oval of ``box`` over the pixels that it touches, in place; ``mask`` is what stands there then."""
    cover = _oval(box, finer)[: part.shape[0], : part.shape[1], None]
    part[:] = np.rint(part * (1 - cover) + mask * cover)


def _padded(face: np.ndarray, padding: float, finer: int) -> np.ndarray:
    """The padded box, x1, y1, x2, y2, to whole pixels of a picture with ``finer`` times as many."""
    around = (face[2:4] - face[:2]) * padding
    low, high = np.maximum(face[:2] - around, 0), face[2:4] + around
    return np.concatenate([np.floor(low * finer), np.ceil(high * finer)]) / finer


def _part(pixels: Pixels, box: np.ndarray) -> Pixels:
    """The pixels that a box touches, as a view."""
    x1, y1 = np.floor(box[:2]).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    return pixels[y1:y2, x1:x2]


def _oval(box: np.ndarray, finer: int) -> np.ndarray:
    """How far the service's oval covers each pixel that a box touches, (H, W), from 0 to 1.

    It covers nothing at its edge and all from one pixel inwards, of a picture with ``finer`` times as many pixels.
    """
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    low, high = np.floor(box[:2]), np.ceil(box[2:])
    x, y = (
        (start + (np.arange((end - start) * finer) + 0.5) / finer - centre) / reach
        for start, end, centre, reach in zip(low, high, middle, half, strict=True)
    )
    inside = np.clip((1 - np.hypot(y[:, None], x[None])) * half.min() * finer, 0, 1)
    return np.asarray(inside.reshape(len(y) // finer, finer, len(x) // finer, finer).mean((1, 3)))


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
    return _blurred(part, sigma)


def _blurred(part: Pixels, sigma: float) -> Pixels:
    """A Gaussian blur; a wide one of a reduced copy, which nobody can tell apart, since it takes most of the time."""
    height, width = part.shape[:2]
    reduced = max(1.0, sigma / _FINE_SIGMA)
    if reduced > 1:
        smaller = (max(1, round(width / reduced)), max(1, round(height / reduced)))
        part = np.asarray(cv2.resize(part, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    blurred = cv2.GaussianBlur(part, (0, 0), sigma / reduced)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
