"""What decoding a detector's outputs gives; the compiled kernels and their NumPy twins share it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detections"]


class Detections(NamedTuple):
    """Faces found in one picture.

    Attributes
    ----------
    faces : ndarray of float32, shape (K, 5) or (K, 15)
        One row per face, by score, highest first: x1, y1, x2, y2 (px of the upright picture, clipped to it), score,
        then, for a model that gives landmarks, x and y of the five of them (px, not clipped).
    candidates_before_nms : int
        Anchors at or above the score threshold whose box and landmarks are finite.
    candidates_after_nms : int
        Those that non-maximum suppression kept (before clipping and ``max_faces``).
    nms_seconds : float
        Time taken by sorting and suppression, seconds.
    """

    faces: NDArray[np.float32]
    candidates_before_nms: int
    candidates_after_nms: int
    nms_seconds: float
