"""The anchors of an input, in the order in which the network and the service have them."""

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["ANCHORS_PER_CELL", "STRIDES", "anchors", "iou", "mostly_inside", "shares_inside"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2
_MOST = 0.6
_ANCHOR_SIZES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}


@cache
def anchors(size: int) -> tuple[Floats, Ints]:
    """Return the anchors of a square input of ``size`` pixels: boxes (N, 4) and their strides (N,)."""
    boxes, strides = [], []
    for stride in STRIDES:
        cells = size // stride
        y, x = np.mgrid[:cells, :cells]
        centres = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32).repeat(ANCHORS_PER_CELL, 0) * stride
        half = np.tile(np.array(_ANCHOR_SIZES[stride], np.float32) / 2, cells * cells)[:, None]
        boxes.append(np.concatenate([centres - half, centres + half], 1))
        strides.append(np.full(len(centres), stride, np.int64))
    return np.concatenate(boxes), np.concatenate(strides)


def iou(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union of each box of ``a`` (N, 4) with each of ``b`` (M, 4), as (N, M)."""
    both = _intersections(a, b)
    area_a = (a[:, 2:] - a[:, :2]).prod(-1)
    area_b = (b[:, 2:] - b[:, :2]).prod(-1)
    return np.asarray(both / (area_a[:, None] + area_b[None] - both + 1e-6), np.float32)


def shares_inside(a: Floats, b: Floats) -> Floats:
    """Return the share of the area of each box of ``a`` (N, 4) that lies in each of ``b`` (M, 4), as (N, M)."""
    area = np.maximum((a[:, 2:] - a[:, :2]).prod(-1), 1e-6)
    return np.asarray(_intersections(a, b) / area[:, None], np.float32)


def mostly_inside(a: Floats, b: Floats) -> npt.NDArray[np.bool_]:
    """Return whether most of each box of ``a`` (N, 4), 60 % of its area, lies in each of ``b`` (M, 4), as (N, M)."""
    return np.asarray(shares_inside(a, b) >= _MOST)


def _intersections(a: Floats, b: Floats) -> Floats:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(-1))
