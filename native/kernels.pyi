"""Types of the compiled kernels; `native.reference` has the same functions in NumPy, with their documentation."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from native.detections import Detections

__all__ = ["decode_detections", "ellipse", "gaussian", "letterbox", "pixelate", "solid"]

def decode_detections(
    scores: Sequence[NDArray[np.float32]],
    boxes: Sequence[NDArray[np.float32]],
    landmarks: Sequence[NDArray[np.float32]] | None,
    strides: Sequence[int],
    anchors: SupportsIndex,
    tensor_width: SupportsIndex,
    *,
    score_threshold: float,
    nms_threshold: float,
    scale: float,
    width: SupportsIndex,
    height: SupportsIndex,
    max_faces: SupportsIndex = 0,
) -> Detections: ...
def letterbox(
    image: NDArray[np.uint8],
    tensor: NDArray[np.float32],
    width: SupportsIndex,
    height: SupportsIndex,
    mean: float,
    scale: float,
    region: tuple[float, float, float, float] | None = None,
) -> None: ...
def solid(
    image: NDArray[np.uint8], x1: SupportsIndex, y1: SupportsIndex, x2: SupportsIndex, y2: SupportsIndex
) -> None: ...
def pixelate(
    image: NDArray[np.uint8],
    x1: SupportsIndex,
    y1: SupportsIndex,
    x2: SupportsIndex,
    y2: SupportsIndex,
    block: SupportsIndex,
) -> None: ...
def gaussian(
    image: NDArray[np.uint8],
    x1: SupportsIndex,
    y1: SupportsIndex,
    x2: SupportsIndex,
    y2: SupportsIndex,
    ksize: SupportsIndex,
) -> None: ...
def ellipse(
    image: NDArray[np.uint8],
    x1: SupportsIndex,
    y1: SupportsIndex,
    x2: SupportsIndex,
    y2: SupportsIndex,
    ksize: SupportsIndex,
) -> None: ...
