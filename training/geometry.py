"""Labelled views and what moves their labels with their pixels.

Faces are (G, 16) float32: box x1, y1, x2, y2, five landmarks x, y, how sure detectors are of the face, as a logit, and
whether it is doubtful (1): a place of which only that is known, not whether it is a face. Landmarks, the logit and the
last may be NaN, which is not doubtful. Ignored boxes are (I, 4), and so are masked ones.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "DOUBTFUL",
    "FACE_WIDTH",
    "LANDMARKS",
    "SURENESS",
    "Boxes",
    "Faces",
    "Pixels",
    "View",
    "clip",
    "mirror",
    "move",
    "move_boxes",
    "no_boxes",
    "no_faces",
    "of_middles",
]

Pixels: TypeAlias = npt.NDArray[np.uint8]
Faces: TypeAlias = npt.NDArray[np.float32]
Boxes: TypeAlias = npt.NDArray[np.float32]

FACE_WIDTH = 16
LANDMARKS = slice(4, 14)
SURENESS = 14
DOUBTFUL = 15
"""The columns of a face."""

_MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]
_SMALLEST_PART = 0.02
_LARGEST_LOSS = 0.5


def no_faces() -> Faces:
    """No face."""
    return np.zeros((0, FACE_WIDTH), np.float32)


def no_boxes() -> Boxes:
    """No box."""
    return np.zeros((0, 4), np.float32)


@dataclass
class View:
    """Pixels (H, W, 3), BGR, with their labels."""

    pixels: Pixels
    faces: Faces
    ignore: Boxes
    masked: Boxes = field(default_factory=no_boxes)
    """Where faces were; what is there now is none."""


def move(faces: Faces, ignore: Boxes, matrix: npt.NDArray[np.float32]) -> tuple[Faces, Boxes]:
    """Move labels by a 2 x 3 matrix; boxes become those of the ellipses within them, moved.

    A head is about an ellipse: turned, its upright box is that of the turned ellipse, not of the turned rectangle, and
    nearer to a square than before.
    """
    linear, shift = matrix[:, :2], matrix[:, 2]
    moved = faces.copy()
    moved[:, :4] = move_boxes(faces[:, :4], matrix)
    moved[:, LANDMARKS] = (faces[:, LANDMARKS].reshape(-1, 5, 2) @ linear.T + shift).reshape(-1, 10)
    return moved, move_boxes(ignore, matrix)


def of_middles(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the 2 x 3 matrix that OpenCV warps by, between pixels' middles.

    ``matrix`` is the one that moves labels, which count from a pixel's corner.
    """
    moved = matrix.copy()
    moved[:, 2] += moved[:, :2].sum(1) / 2 - 0.5
    return moved


def move_boxes(boxes: Boxes, matrix: npt.NDArray[np.float32]) -> Boxes:
    """Move boxes (N, 4) as :func:`move` does."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear.T + shift
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (linear**2).T)
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)


def clip(faces: Faces, ignore: Boxes, window: tuple[float, float, float, float]) -> tuple[Faces, Boxes]:
    """Cut labels at a window x1, y1, x2, y2.

    A face of which less than half is left is ignored; of which less than 2 % is left, gone.
    """
    area = (faces[:, 2:4] - faces[:, :2]).prod(1)
    cut = _cut(faces[:, :4], window)
    left = np.clip(cut[:, 2:] - cut[:, :2], 0, None).prod(1) / np.maximum(area, 1e-6)
    part = (left > _SMALLEST_PART) & (left < _LARGEST_LOSS)
    ignore = np.concatenate([_cut(ignore, window), cut[part]])
    kept = faces[left >= _LARGEST_LOSS].copy()
    kept[:, :4] = cut[left >= _LARGEST_LOSS]
    return kept, ignore[((ignore[:, 2:] - ignore[:, :2]) > 1).all(1)]


def _cut(boxes: Boxes, window: tuple[float, float, float, float]) -> Boxes:
    low, high = np.array(window[:2] * 2, np.float32), np.array(window[2:] * 2, np.float32)
    return np.clip(boxes, low, high)


def mirror(view: View) -> View:
    """Mirror left and right; left and right landmarks change places."""
    width = view.pixels.shape[1]
    faces = view.faces.copy()
    faces[:, :4] = _mirrored(view.faces[:, :4], width)
    landmarks = view.faces[:, LANDMARKS].reshape(-1, 5, 2).copy()
    landmarks[..., 0] = width - landmarks[..., 0]
    faces[:, LANDMARKS] = landmarks[:, _MIRRORED_LANDMARKS].reshape(-1, 10)
    ignore, masked = (_mirrored(boxes, width) for boxes in (view.ignore, view.masked))
    return View(np.ascontiguousarray(view.pixels[:, ::-1]), faces, ignore, masked)


def _mirrored(boxes: Boxes, width: int) -> Boxes:
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
