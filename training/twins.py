"""The same view once more, as another camera, reduction or file would have it; its faces are to be found alike."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import cv2
import numpy as np

from training import geometry
from training.geometry import DOUBTFUL, SURENESS, View
from training.photometric import compress, soften_or_sharpen, speckle

__all__ = ["twin_of", "twins_by"]

Compose: TypeAlias = Callable[..., View]
"""Composes a view by a generator, or with ``resampled=True`` the same view reduced in another way."""

_LARGEST_SHIFT = 8.0
"""Pixels: a face's place on the grid of the coarser strides changes, too."""
_LARGEST_CHANGE = 0.1
"""Of the size."""
_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def twins_by(compose: Compose, rng: random.Random) -> tuple[View, View]:
    """Return a view and its twin: the same draws reduced in another way, then changed by :func:`twin_of`."""
    state = rng.getstate()
    view = compose(rng)
    again = random.Random()
    again.setstate(state)
    return view, twin_of(compose(again, resampled=True), rng)


def twin_of(view: View, rng: random.Random) -> View:
    """Return a view a little softer or sharper, sometimes noisier, compressed, or a little moved and scaled.

    It has the same faces in the same order: where the move would lose one of them nothing is moved.
    """
    twin = replace(view)
    if rng.random() < 0.3:
        moved = _moved(view, rng)
        if len(moved.faces) == len(view.faces):
            twin = moved
    for chance, effect in ((1.0, soften_or_sharpen), (0.3, speckle), (0.3, compress)):
        if rng.random() < chance:
            twin.pixels = effect(twin.pixels, rng)
    return twin


def _moved(view: View, rng: random.Random) -> View:
    height, width = view.pixels.shape[:2]
    scale = 1 + rng.uniform(-_LARGEST_CHANGE, _LARGEST_CHANGE)
    x, y = (side * (1 - scale) / 2 + rng.uniform(-_LARGEST_SHIFT, _LARGEST_SHIFT) for side in (width, height))
    matrix = np.array([[scale, 0, x], [0, scale, y]], np.float32)
    pixels = cv2.warpAffine(
        view.pixels, geometry.of_middles(matrix), (width, height), flags=rng.choice(_INTERPOLATIONS)
    )
    faces, ignore = geometry.move(view.faces, view.ignore, matrix)
    # Nobody can tell where a face ends that the view cuts, and moved inwards it would not look cut.
    cut = (view.faces[:, :2] <= 0).any(1) | (view.faces[:, 2:4] >= [width, height]).any(1)
    faces[cut, DOUBTFUL], faces[cut, SURENESS] = 1, np.nan
    masked = geometry.move_boxes(view.masked, matrix)
    return View(np.asarray(pixels, np.uint8), *geometry.clip(faces, ignore, (0, 0, width, height)), masked)
