"""The kernels in plain NumPy: the place to read what they compute, and what the tests compare them with.

Names, arguments, results and errors are those of `native.kernels`. Decoding agrees to the bit (the same float32
operations in the same order); the letterbox within 1/50 of a pixel level, the masks within one.
"""

import time
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from native import arguments
from native.detections import Detections

__all__ = ["BOX_PASSES_FROM", "decode_detections", "ellipse", "gaussian", "letterbox", "pixelate", "solid"]

BOX_PASSES_FROM = 15
"""Kernel size (px) from which three box filters stand in for the Gaussian."""

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


def decode_detections(
    scores: Sequence[Floats],
    boxes: Sequence[Floats],
    landmarks: Sequence[Floats] | None,
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
) -> Detections:
    """Turn the raw outputs of an SCRFD detector into faces in picture coordinates.

    Anchor ``(row * columns + column) * anchors + a`` of a stride has its centre at ``(column * stride, row *
    stride)`` of the tensor, without a half-cell offset; a box is four distances from there (left, top, right,
    bottom) and a landmark two, in strides. Candidates score at or above the threshold and are finite throughout.
    Suppression is greedy by score, ties by anchor order; the IoU is without the +1 of pixel counts, and a box turned
    inside out has no area. Boxes are clipped after it; those without area are dropped. All in float32.

    Parameters
    ----------
    scores : sequence of float32 arrays, shape (N,), (N, 1) or (1, N, 1)
        Scores, one array per stride.
    boxes : sequence of float32 arrays, shape (N, 4) or (1, N, 4)
        Distances to the sides, strides.
    landmarks : sequence of float32 arrays, shape (N, 10) or (1, N, 10), or None
        Offsets x, y of five landmarks, strides.
    strides : sequence of int
        Tensor px per cell, in the order of the outputs; each divides ``tensor_width``.
    anchors : int
        Anchors per cell.
    tensor_width : int
        Width of the model input, px.
    score_threshold, nms_threshold : float
        Between 0 and 1.
    scale : float
        Tensor px per px of the upright picture.
    width, height : int
        Size of the upright picture, px.
    max_faces : int
        Faces to keep at most, the best ones; 0 keeps all.

    Returns
    -------
    Detections
        Faces by score, highest first, and the counts and time of suppression.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or an array another dtype than float32.
    ValueError
        If shapes do not fit each other, the strides or the tensor, or a number is out of range.

    Notes
    -----
    Layout and decoding follow SCRFD (Guo et al., "Sample and Computation Redistribution for Efficient Face
    Detection", 2021) as InsightFace exports it.
    """
    levels, anchors = arguments.levels(scores, boxes, landmarks, strides, anchors, tensor_width)
    score_threshold = arguments.unit_interval("score_threshold", score_threshold)
    nms_threshold = arguments.unit_interval("nms_threshold", nms_threshold)
    scale = arguments.positive("scale", scale)
    width = arguments.number("width", width, 1, 1 << 24)
    height = arguments.number("height", height, 1, 1 << 24)
    max_faces = arguments.number("max_faces", max_faces, 0, 1 << 30)
    size = 4 if landmarks is None else 14
    with np.errstate(all="ignore"):  # overflow is not an error: such candidates are dropped
        parts = [
            _decode(level, anchors, np.float32(score_threshold), np.float32(1 / scale)) for level in levels
        ]
        candidates = np.concatenate([np.empty((0, size + 1), np.float32), *parts])
        started = time.perf_counter()
        kept = _suppress(candidates[:, :4], candidates[:, -1], np.float32(nms_threshold))
        seconds = time.perf_counter() - started
    faces = candidates[kept]
    faces = np.concatenate([faces[:, :4], faces[:, -1:], faces[:, 4:-1]], axis=1)
    np.clip(faces[:, 0:4:2], 0, np.float32(width), out=faces[:, 0:4:2])
    np.clip(faces[:, 1:4:2], 0, np.float32(height), out=faces[:, 1:4:2])
    faces = faces[(faces[:, 0] < faces[:, 2]) & (faces[:, 1] < faces[:, 3])]
    return Detections(faces[: max_faces or None], len(candidates), len(kept), seconds)


def _decode(level: arguments.Level, anchors: int, threshold: np.float32, unit: np.float32) -> Floats:
    """Candidates of one stride: rows of box, landmarks and score, picture px; `unit` is a tensor px in these."""
    (found,) = np.nonzero((level.scores >= threshold) & np.isfinite(level.scores))
    row, column = np.divmod(found // anchors, level.columns)
    stride = np.float32(level.stride)
    centre = np.stack([column * level.stride, row * level.stride], axis=1).astype(np.float32)
    distances = level.boxes.reshape(-1, 4)[found] * stride
    points = [centre - distances[:, :2], centre + distances[:, 2:]]
    if level.landmarks is not None:
        points.append(np.tile(centre, 5) + level.landmarks.reshape(-1, 10)[found] * stride)
    rows: Floats = np.concatenate([*(p * unit for p in points), level.scores[found, np.newaxis]], axis=1)
    return np.compress(np.isfinite(rows).all(axis=1), rows, axis=0)


def _suppress(boxes: Floats, scores: Floats, threshold: np.float32) -> NDArray[np.intp]:
    """Indices kept by greedy suppression, best first."""
    x1, y1, x2, y2 = boxes.T
    areas = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        w = np.minimum(x2[best], x2[order]) - np.maximum(x1[best], x1[order])
        h = np.minimum(y2[best], y2[order]) - np.maximum(y1[best], y1[order])
        inter = np.maximum(w, 0) * np.maximum(h, 0)
        order = order[~(inter > threshold * (areas[best] + areas[order] - inter))]
    return np.array(kept, dtype=np.intp)


def letterbox(
    image: Image,
    tensor: Floats,
    width: SupportsIndex,
    height: SupportsIndex,
    mean: float,
    scale: float,
    region: tuple[float, float, float, float] | None = None,
) -> None:
    """Resize a picture into the top left of a model input and normalise it; the rest becomes black.

    Sampling is that of ``cv2.resize`` with INTER_LINEAR: sample ``i`` of the output lies at ``(i + 0.5) * ratio -
    0.5`` of the region, held at the borders, and takes the two nearest rows and columns. There is no rounding to
    eight bits between resizing and normalising, so values may be up to one level from OpenCV's.

    Parameters
    ----------
    image : uint8 array, shape (H, W) or (H, W, C), C from 1 to 4
        Grey, grey and alpha, BGR or BGRA; alpha is ignored. Any strides, never written.
    tensor : float32 array, shape (1, 3, TH, TW) or (3, TH, TW)
        Written whole: planes R, G, B of ``(level - mean) * scale``. C-contiguous.
    width, height : int
        Size of the resized picture, tensor px.
    mean, scale : float
        Normalisation.
    region : tuple of float
        x1, y1, x2, y2 in px: the part of the picture that is resized, by default all of it. The last row or column of
        a picture that a decoder has reduced may hold half a pixel of it only.

    Raises
    ------
    TypeError
        If an argument has the wrong type or dtype.
    ValueError
        If a shape is wrong, the picture is empty, the tensor cannot be written, the size exceeds it, or the region
        is not within the picture.
    """
    picture = arguments.pixels("image", image)
    planes = arguments.planes(tensor)
    width = arguments.number("width", width, 1, planes.shape[2])
    height = arguments.number("height", height, 1, planes.shape[1])
    mean, scale = arguments.finite("mean", mean), arguments.finite("scale", scale)
    if picture.size == 0:
        raise ValueError(f"image must not be empty, got shape {image.shape}")
    colours = picture[:, :, [2, 1, 0]] if picture.shape[2] >= 3 else picture[:, :, [0, 0, 0]]
    x1, y1, x2, y2 = arguments.part(picture, region)
    left, right, wx = _taps(width, picture.shape[1], x1, x2)
    upper, lower, wy = _taps(height, picture.shape[0], y1, y2)
    wx, wy = wx[:, np.newaxis], wy[:, np.newaxis, np.newaxis]
    rows = colours[upper] * (1 - wy) + colours[lower] * wy
    resized = rows[:, left] * (1 - wx) + rows[:, right] * wx
    planes[...] = -mean * scale
    planes[:, :height, :width] = ((resized - mean) * scale).transpose(2, 0, 1)


def _taps(
    n: int, source: int, start: float, end: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """The two source samples of each of n outputs and the weight of the second."""
    position = start + (np.arange(n) + 0.5) * ((end - start) / n) - 0.5
    position = position.astype(np.float32).clip(0, source - 1)
    first = np.floor(position).astype(np.intp)
    return first, np.minimum(first + 1, source - 1), (position - first).astype(np.float64)


def solid(image: Image, x1: SupportsIndex, y1: SupportsIndex, x2: SupportsIndex, y2: SupportsIndex) -> None:
    """Blacken a box in place.

    Parameters
    ----------
    image : uint8 array, shape (H, W) or (H, W, C), C from 1 to 4
        The last of two or four channels is alpha and stays as it is. Any strides.
    x1, y1, x2, y2 : int
        Box, px, right and bottom exclusive; clipped to the picture, nothing happens if nothing of it is left.

    Raises
    ------
    TypeError
        If the image is no uint8 array or a coordinate no integer.
    ValueError
        If the image has another shape or is read-only.
    """
    region = _region(image, x1, y1, x2, y2)
    if region is not None:
        region[...] = 0


def pixelate(
    image: Image,
    x1: SupportsIndex,
    y1: SupportsIndex,
    x2: SupportsIndex,
    y2: SupportsIndex,
    block: SupportsIndex,
) -> None:
    """Replace the cells of a box by their means, rounded half up, in place.

    Parameters
    ----------
    image, x1, y1, x2, y2
        As for `solid`.
    block : int
        Side of a cell, px; cells start at the top left corner of the clipped box.

    Raises
    ------
    TypeError, ValueError
        As `solid`; also if ``block`` is no integer or below 1.
    """
    block = arguments.block_size(block)
    region = _region(image, x1, y1, x2, y2)
    if region is None:
        return
    for top in range(0, region.shape[0], block):
        for left in range(0, region.shape[1], block):
            cell = region[top : top + block, left : left + block]
            count = cell.shape[0] * cell.shape[1]
            cell[...] = (2 * cell.sum(axis=(0, 1), dtype=np.int64) + count) // (2 * count)


def gaussian(
    image: Image,
    x1: SupportsIndex,
    y1: SupportsIndex,
    x2: SupportsIndex,
    y2: SupportsIndex,
    ksize: SupportsIndex,
) -> None:
    """Blur a box in place, reading only pixels inside it.

    Parameters
    ----------
    image, x1, y1, x2, y2
        As for `solid`.
    ksize : int
        Kernel size, px; an even one becomes the next odd one, 1 changes nothing. Sigma follows from it as in OpenCV:
        ``0.3 * ((ksize - 1) * 0.5 - 1) + 0.8``.

    Raises
    ------
    TypeError, ValueError
        As `solid`; also if ``ksize`` is no integer or below 1.

    Notes
    -----
    The border is OpenCV's reflect-101, repeated where the box is smaller than the kernel. Below `BOX_PASSES_FROM`
    the sampled Gaussian is applied; from there on three box filters each way with the same variance (P. Kovesi,
    "Fast almost-Gaussian filtering", 2010). Reflection commutes with symmetric filters, so the three may follow one
    another with the border taken anew each time, or, as here, be one kernel.
    """
    ksize = arguments.kernel_size(ksize)
    region = _region(image, x1, y1, x2, y2)
    if region is not None:
        region[...] = np.floor(_blurred(region, ksize) + 0.5)


def ellipse(
    image: Image,
    x1: SupportsIndex,
    y1: SupportsIndex,
    x2: SupportsIndex,
    y2: SupportsIndex,
    ksize: SupportsIndex,
) -> None:
    """Blur the ellipse inscribed in a box, after clipping, in place.

    The blur is that of `gaussian`. Its share rises from 0 on the edge of the ellipse to 1 about a pixel inwards;
    pixels outside keep their values.

    Parameters
    ----------
    image, x1, y1, x2, y2, ksize
        As for `gaussian`.

    Raises
    ------
    TypeError, ValueError
        As `gaussian`.
    """
    ksize = arguments.kernel_size(ksize)
    region = _region(image, x1, y1, x2, y2)
    if region is None:
        return
    ry, rx = region.shape[0] / 2, region.shape[1] / 2
    y, x = np.ogrid[: region.shape[0], : region.shape[1]]
    distance = np.hypot((x + 0.5 - rx) / rx, (y + 0.5 - ry) / ry)
    alpha = np.clip((1 - distance) * min(rx, ry), 0, 1)[:, :, np.newaxis]
    region[...] = np.floor(region + alpha * (_blurred(region, ksize) - region) + 0.5)


def _region(
    image: Image, x1: SupportsIndex, y1: SupportsIndex, x2: SupportsIndex, y2: SupportsIndex
) -> Image | None:
    """View of the colour channels in the clipped box; None if that is empty."""
    picture = arguments.mask_image(image)
    clipped = arguments.clip_box(picture, x1, y1, x2, y2)
    if clipped is None:
        return None
    left, top, right, bottom = clipped
    colours = picture.shape[2] - (picture.shape[2] in (2, 4))
    return picture[top:bottom, left:right, :colours]


def _blurred(region: Image, ksize: int) -> NDArray[np.float64]:
    down, across = (_blur_matrix(_weights(ksize, n), n) for n in region.shape[:2])
    blurred: NDArray[np.float64] = np.einsum("yi,ijc,xj->yxc", down, region * 1.0, across, optimize=True)
    return blurred


def _weights(ksize: int, n: int) -> NDArray[np.float64]:
    """Symmetric kernel, odd in length, for a line of n pixels."""
    sigma = 0.3 * ((ksize - 1) * 0.5 - 1) + 0.8
    if ksize < BOX_PASSES_FROM:
        samples = np.exp(-0.5 * (np.arange(ksize) - ksize // 2) ** 2 / sigma**2)
        return np.asarray(samples / samples.sum(), np.float64)
    # The reflected line has the period 2 (n - 1): a Gaussian that wide leaves only its mean.
    variance = 12 * min(sigma, max(2 * (n - 1), 16), 16000) ** 2
    narrow = int(np.sqrt(variance / 3 + 1))
    narrow -= (narrow + 1) % 2
    passes = int(np.floor((variance - 3 * narrow**2 - 12 * narrow - 9) / (-4 * narrow - 4) + 0.5))
    weights: NDArray[np.float64] = np.ones(1)
    for i in range(3):
        size = narrow if i < passes else narrow + 2
        weights = np.convolve(weights, np.full(size, 1 / size))
    return weights


def _blur_matrix(weights: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The filter as an n x n matrix, borders reflected without repeating the end pixel."""
    period = max(2 * (n - 1), 1)
    offset = np.arange(len(weights)) - len(weights) // 2
    source = (np.arange(n)[:, np.newaxis] + offset) % period
    source = np.where(source < n, source, period - source)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, np.newaxis], source), weights)
    return matrix
