"""Argument checks shared by the compiled kernels and their NumPy twins.

Each check returns what the kernels go on with. The messages name the argument, its value and the allowed range.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Level",
    "block_size",
    "clip_box",
    "finite",
    "kernel_size",
    "levels",
    "mask_image",
    "number",
    "part",
    "pixels",
    "planes",
    "positive",
    "unit_interval",
]


class Level(NamedTuple):
    """Outputs of one stride, flat and contiguous float32; ``columns`` is the width of its grid in cells."""

    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    stride: int
    columns: int


def number(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """Check an integer argument; limits that are None do not apply.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is outside ``low .. high``.
    """
    try:
        result = operator.index(value)  # type: ignore[arg-type]  # the point is to find out
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if (low is not None and result < low) or (high is not None and result > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}, got {result}")
    return result


def finite(name: str, value: Any) -> float:
    """Check a finite real argument.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is NaN or infinite.
    """
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}") from None
    if not math.isfinite(result):
        raise ValueError(f"{name} must be finite, got {result}")
    return result


def positive(name: str, value: Any) -> float:
    """Check a number above 0 (in float32, too); raises as `finite` does."""
    result = finite(name, value)
    if not 1e-30 <= result <= 1e30:
        raise ValueError(f"{name} must be above 0, got {result}")
    return result


def block_size(block: Any) -> int:
    """Check the side of a mosaic cell, px; one wider than any picture is as good as infinite."""
    return min(number("block", block, 1), 1 << 30)


def kernel_size(ksize: Any) -> int:
    """Check the size of a blur kernel, px; even ones become the next odd, as the mask API promises."""
    return min(number("ksize", ksize, 1), 1 << 30) | 1


def unit_interval(name: str, value: Any) -> float:
    """Check a threshold between 0 and 1; raises as `finite` does."""
    result = finite(name, value)
    if not 0.0 <= result <= 1.0:
        raise ValueError(f"{name} must be between 0 and 1, got {result}")
    return result


def pixels(name: str, image: Any) -> NDArray[np.uint8]:
    """Check a picture; returns it as a view of shape (H, W, C).

    Raises
    ------
    TypeError
        If it is no uint8 array.
    ValueError
        If it is not (H, W) or (H, W, C) with one to four channels.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(image).__name__}")
    if image.dtype != np.uint8:
        raise TypeError(f"{name} must be uint8, not {image.dtype}")
    if image.ndim == 2:
        return image[:, :, np.newaxis]
    if image.ndim != 3 or not 1 <= image.shape[2] <= 4:
        raise ValueError(f"{name} must be (H, W) or (H, W, C) with 1 to 4 channels, got shape {image.shape}")
    return image


def mask_image(image: Any) -> NDArray[np.uint8]:
    """Check a picture that is written in place; raises as `pixels` does, and ValueError if it is read-only."""
    view = pixels("image", image)
    if not image.flags.writeable:
        raise ValueError("image is read-only; masks are written in place")
    return view


def planes(tensor: Any) -> NDArray[np.float32]:
    """Check a model input that is written in place; returns it as a view of shape (3, TH, TW).

    Raises
    ------
    TypeError
        If it is no float32 array.
    ValueError
        If it is not C-contiguous and writable (1, 3, TH, TW) or (3, TH, TW).
    """
    if not isinstance(tensor, np.ndarray):
        raise TypeError(f"tensor must be a NumPy array, not {type(tensor).__name__}")
    if tensor.dtype != np.float32:
        raise TypeError(f"tensor must be float32, not {tensor.dtype}")
    view = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if view.ndim != 3 or view.shape[0] != 3:
        raise ValueError(f"tensor must be (1, 3, TH, TW) or (3, TH, TW), got shape {tensor.shape}")
    if not tensor.flags.c_contiguous:
        raise ValueError("tensor must be C-contiguous")
    if not tensor.flags.writeable:
        raise ValueError("tensor is read-only; letterbox writes it in place")
    return view


def clip_box(
    image: NDArray[np.uint8], x1: Any, y1: Any, x2: Any, y2: Any
) -> tuple[int, int, int, int] | None:
    """Clip a box to the picture; None if nothing of it is left. Raises TypeError for coordinates that are no int."""
    height, width = image.shape[:2]
    left, right = (min(max(number(n, v), 0), width) for n, v in (("x1", x1), ("x2", x2)))
    top, bottom = (min(max(number(n, v), 0), height) for n, v in (("y1", y1), ("y2", y2)))
    return (left, top, right, bottom) if left < right and top < bottom else None


def part(image: NDArray[np.uint8], region: Any) -> tuple[float, float, float, float]:
    """Check a part of a picture, x1, y1, x2, y2 in px and fractions of them; None is all of it.

    Raises
    ------
    TypeError
        If it is no sequence of four numbers.
    ValueError
        If it is empty or reaches beyond the picture.
    """
    height, width = image.shape[:2]
    if region is None:
        return 0.0, 0.0, float(width), float(height)
    try:
        x1, y1, x2, y2 = (finite("region", value) for value in region)
    except (TypeError, ValueError):
        raise TypeError(f"region must be four finite numbers x1, y1, x2, y2, got {region!r}") from None
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise ValueError(f"region must lie within 0, 0, {width}, {height} and not be empty, got {region!r}")
    return x1, y1, x2, y2


def _flat(name: str, array: Any, values: int, rows: int | None = None) -> NDArray[np.float32]:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be float32, not {array.dtype}")
    shape = array.shape[1:] if array.ndim == 3 and array.shape[0] == 1 else array.shape
    if not ((len(shape) == 2 and shape[1] == values) or (len(shape) == 1 and values == 1)):
        raise ValueError(f"{name} must be (N, {values}) or (1, N, {values}), got shape {array.shape}")
    if rows is not None and shape[0] != rows:
        raise ValueError(f"{name} has {shape[0]} anchors, but the scores of that stride have {rows}")
    flat = array.reshape(-1)
    return flat if flat.flags.c_contiguous else np.ascontiguousarray(flat)


def levels(
    scores: Sequence[Any],
    boxes: Sequence[Any],
    landmarks: Sequence[Any] | None,
    strides: Sequence[int],
    anchors: Any,
    tensor_width: Any,
) -> tuple[list[Level], int]:
    """Check the outputs of a detector, one array per stride; returns the levels and the anchors per cell.

    Raises
    ------
    TypeError
        If an output is no float32 array, or a size no integer.
    ValueError
        If the outputs do not fit each other, the strides or the width of the tensor.
    """
    anchors = number("anchors", anchors, 1, 1 << 16)
    tensor_width = number("tensor_width", tensor_width, 1, 1 << 20)
    parts = [("boxes", boxes)] if landmarks is None else [("boxes", boxes), ("landmarks", landmarks)]
    for name, part in [("scores", scores), *parts]:
        if len(part) != len(strides):
            raise ValueError(f"{name} has {len(part)} arrays for {len(strides)} strides")
    result = []
    for i, given in enumerate(strides):
        stride = number(f"strides[{i}]", given, 1, 1 << 16)
        if tensor_width % stride:
            raise ValueError(f"tensor_width must be a multiple of stride {stride}, got {tensor_width}")
        score = _flat(f"scores[{i}]", scores[i], 1)
        columns = tensor_width // stride
        if score.size % (columns * anchors):
            raise ValueError(
                f"scores[{i}] has {score.size} values: no whole rows of {columns} cells with {anchors} anchors "
                f"(tensor_width {tensor_width}, stride {stride})"
            )
        box = _flat(f"boxes[{i}]", boxes[i], 4, score.size)
        points = None if landmarks is None else _flat(f"landmarks[{i}]", landmarks[i], 10, score.size)
        result.append(Level(score, box, points, stride, columns))
    return result, anchors
