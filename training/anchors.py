"""Anchors and their assignment to faces by ATSS (Zhang et al., 2020, arXiv 1912.02424)."""

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["ANCHORS_PER_CELL", "STRIDES", "anchors", "assign", "iou"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2
_ANCHOR_SIZES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}
_CANDIDATES = 9


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
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    area_a = (a[:, 2:] - a[:, :2]).prod(-1)
    area_b = (b[:, 2:] - b[:, :2]).prod(-1)
    return np.asarray(both / (area_a[:, None] + area_b[None] - both + 1e-6), np.float32)


def assign(size: int, faces: Floats) -> Ints:
    """Return for each anchor of a square input the index of its face, -1 for none.

    ``faces`` is (G, 4). Of each level the nine anchors nearest to a face's centre are its candidates; those with an
    IoU of at least the candidates' mean plus deviation, and with their centre in the face, are its own. Two departures
    from the paper, both for faces smaller than a cell: the centre may lie up to three quarters of the finest stride
    from the face's centre, and a face left without any takes its best candidate.
    """
    boxes, strides = anchors(size)
    owner = np.full(len(boxes), -1, np.int64)
    if not len(faces):
        return owner
    centres = np.asarray(boxes[:, :2] + boxes[:, 2:], np.float32) / np.float32(2)
    face_centres = np.asarray(faces[:, :2] + faces[:, 2:], np.float32) / np.float32(2)
    candidates = np.concatenate(
        [_nearest(centres, face_centres, np.flatnonzero(strides == stride)) for stride in STRIDES]
    )
    columns = np.arange(len(faces))
    overlap = np.stack([iou(boxes[candidates[:, g]], faces[g : g + 1])[:, 0] for g in columns], 1)
    threshold = overlap.mean(0) + overlap.std(0)
    reach = np.maximum((faces[:, 2:] - faces[:, :2]) / 2, 0.75 * STRIDES[0])
    inside = (np.abs(centres[candidates] - face_centres) < reach).all(-1)
    positive = (overlap >= threshold) & inside & (overlap > 0.01)
    for g in np.flatnonzero(~positive.any(0)):
        positive[overlap[:, g].argmax(), g] = True
    best = np.full(len(boxes), -1.0, np.float32)
    for g in columns:
        chosen = candidates[positive[:, g], g]
        score = overlap[positive[:, g], g]
        better = score > best[chosen]
        owner[chosen[better]] = g
        best[chosen[better]] = score[better]
    return owner


def _nearest(centres: Floats, face_centres: Floats, level: Ints) -> Ints:
    """The level's anchors nearest to each face, (k, G)."""
    count = min(_CANDIDATES, len(level))
    distance = ((centres[level, None] - face_centres[None]) ** 2).sum(-1)
    return np.asarray(level[np.argpartition(distance, count - 1, axis=0)[:count]])
