"""The letterbox: against its twin, and against OpenCV's resize."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from native import kernels, reference
from tests.native.support import LAYOUTS, examples, lay_out, pictures, texture

sizes = st.integers(1, 70)


def both(picture: NDArray[np.uint8], shape: tuple[int, ...], *arguments: Any) -> list[NDArray[np.float32]]:
    tensors = [np.full(shape, np.nan, np.float32) for _ in range(2)]
    kernels.letterbox(picture, tensors[0], *arguments)
    reference.letterbox(picture, tensors[1], *arguments)
    return tensors


@examples(200)
@given(
    pictures(),
    st.sampled_from(LAYOUTS),
    sizes,
    sizes,
    st.integers(0, 9),
    st.integers(0, 9),
    st.booleans(),
    st.sampled_from([(127.5, 1 / 128), (0.0, 1 / 255), (104.0, 1.0)]),
)
def test_agrees_with_the_twin(
    picture: NDArray[np.uint8],
    layout: str,
    width: int,
    height: int,
    right: int,
    bottom: int,
    batch: bool,
    normalisation: tuple[float, float],
) -> None:
    mean, scale = normalisation
    view, buffer = lay_out(picture, layout)
    before = buffer.copy()
    view.flags.writeable = False
    shape = (3, height + bottom, width + right)
    ours, theirs = both(view, (1, *shape) if batch else shape, width, height, mean, scale)
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=0.02)
    np.testing.assert_array_equal(buffer, before)


@examples(100)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3]),
    *(st.integers(1, 150) for _ in range(4)),
    st.booleans(),
)
def test_samples_as_opencv_does(
    seed: int, channels: int, height: int, width: int, out_height: int, out_width: int, noise: bool
) -> None:
    if noise:
        rng = np.random.default_rng(seed)
        picture = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    else:
        picture = np.ascontiguousarray(texture(height, width, seed)[:, :, :channels])
    tensor = np.empty((3, out_height, out_width), np.float32)
    kernels.letterbox(picture, tensor, out_width, out_height, 0.0, 1.0)
    expected = cv2.resize(picture, (out_width, out_height), interpolation=cv2.INTER_LINEAR)
    expected = expected.reshape(out_height, out_width, channels)[:, :, ::-1].transpose(2, 0, 1)
    assert np.abs(tensor - expected).max() <= 1


@pytest.mark.parametrize(
    ("size", "resized"), [((1920, 1080), (640, 360)), ((1280, 720), (640, 360)), ((1000, 777), (640, 497))]
)
def test_equals_resize_and_blob_within_a_level(size: tuple[int, int], resized: tuple[int, int]) -> None:
    picture = texture(size[1], size[0])
    tensor = np.empty((1, 3, -(-resized[1] // 32) * 32, 640), np.float32)
    kernels.letterbox(picture, tensor, *resized, 127.5, 1 / 128)
    padded = np.zeros((*tensor.shape[2:], 3), np.uint8)
    padded[: resized[1], : resized[0]] = cv2.resize(picture, resized, interpolation=cv2.INTER_LINEAR)
    blob = cv2.dnn.blobFromImage(padded, 1 / 128, (640, tensor.shape[2]), (127.5,) * 3, swapRB=True)
    assert np.abs(tensor - blob).max() <= 1 / 128


def test_one_pixel_by_hand() -> None:
    tensor = np.full((3, 2, 3), np.nan, np.float32)
    kernels.letterbox(np.array([[[10, 20, 30, 0]]], np.uint8), tensor, 2, 1, 5.0, 2.0)
    black = -10.0
    assert tensor.tolist() == [
        [[50, 50, black], [black] * 3],
        [[30, 30, black], [black] * 3],
        [[10, 10, black], [black] * 3],
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_without_resizing_the_values_stay(channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    tensor = np.empty((3, 5, 7), np.float32)
    kernels.letterbox(picture, tensor, 7, 5, 0.0, 1.0)
    order = [2, 1, 0] if channels > 2 else [0, 0, 0]
    np.testing.assert_array_equal(tensor, picture[:, :, order].transpose(2, 0, 1))


def test_halfway_between_two_pixels() -> None:
    tensor = np.empty((3, 1, 1), np.float32)
    kernels.letterbox(np.array([[0, 255]], np.uint8), tensor, 1, 1, 0.0, 1.0)
    assert tensor.ravel().tolist() == [127.5] * 3


@examples(100)
@given(pictures(), sizes, sizes, st.tuples(*(st.floats(0, 1, width=32) for _ in range(4))))
def test_a_region_agrees_with_the_twin(
    picture: NDArray[np.uint8], width: int, height: int, shares: tuple[float, float, float, float]
) -> None:
    rows, columns = picture.shape[:2]
    x1, y1 = shares[0] * 0.9 * columns, shares[1] * 0.9 * rows
    x2, y2 = x1 + (columns - x1) * max(shares[2], 0.01), y1 + (rows - y1) * max(shares[3], 0.01)
    ours, theirs = both(picture, (3, height, width), width, height, 0.0, 1.0, (x1, y1, x2, y2))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.02)


def test_half_a_row_too_many_is_left_out() -> None:
    """A ramp over 11 rows, of which the last lies half outside, is that of 10.5 rows."""
    picture = np.repeat(np.arange(11, dtype=np.uint8)[:, np.newaxis] * 20, 8, 1)
    tensor = np.empty((3, 4, 8), np.float32)
    kernels.letterbox(picture, tensor, 8, 4, 0.0, 1.0, (0, 0, 8, 10.5))
    rows = (np.arange(4) + 0.5) * 10.5 / 4 - 0.5
    assert tensor[0, :, 3].tolist() == pytest.approx((rows * 20).tolist(), abs=0.02)
    kernels.letterbox(picture, tensor, 8, 4, 0.0, 1.0, (0, 0.5, 8, 11))
    assert tensor[0, :, 3].tolist() == pytest.approx((rows * 20 + 10).tolist(), abs=0.02)


IMAGE = np.zeros((4, 4, 3), np.uint8)
TENSOR = np.zeros((1, 3, 8, 8), np.float32)
READ_ONLY = np.zeros((3, 8, 8), np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((IMAGE.astype(np.float32), TENSOR, 4, 4, 0, 1), TypeError, "image must be uint8, not float32"),
        ((None, TENSOR, 4, 4, 0, 1), TypeError, "image must be a NumPy array, not NoneType"),
        ((np.zeros((4, 4, 5), np.uint8), TENSOR, 4, 4, 0, 1), ValueError, "image must be .* 1 to 4 channels"),
        ((np.zeros((0, 4, 3), np.uint8), TENSOR, 4, 4, 0, 1), ValueError, "image must not be empty"),
        ((IMAGE, TENSOR.astype(np.float64), 4, 4, 0, 1), TypeError, "tensor must be float32, not float64"),
        ((IMAGE, TENSOR[:, :2], 4, 4, 0, 1), ValueError, "tensor must be .*1, 3, TH, TW"),
        ((IMAGE, TENSOR[..., ::2], 4, 4, 0, 1), ValueError, "tensor must be C-contiguous"),
        ((IMAGE, READ_ONLY, 4, 4, 0, 1), ValueError, "tensor is read-only"),
        ((IMAGE, TENSOR, 9, 4, 0, 1), ValueError, "width must be between 1 and 8, got 9"),
        ((IMAGE, TENSOR, 4, 0, 0, 1), ValueError, "height must be between 1 and 8, got 0"),
        ((IMAGE, TENSOR, 4, 4.5, 0, 1), TypeError, "height must be an integer, not float"),
        ((IMAGE, TENSOR, 4, 4, float("nan"), 1), ValueError, "mean must be finite"),
        ((IMAGE, TENSOR, 4, 4, 0, "x"), TypeError, "scale must be a number, not str"),
        ((IMAGE, TENSOR, 4, 4, 0, 1, (0, 0, 4)), TypeError, "region must be four finite numbers"),
        ((IMAGE, TENSOR, 4, 4, 0, 1, (0, 0, 4, "x")), TypeError, "region must be four finite numbers"),
        (
            (IMAGE, TENSOR, 4, 4, 0, 1, (0, 0, 4.5, 4)),
            ValueError,
            "region must lie within 0, 0, 4, 4 and not be",
        ),
        (
            (IMAGE, TENSOR, 4, 4, 0, 1, (0, 2, 4, 2)),
            ValueError,
            "region must lie within 0, 0, 4, 4 and not be",
        ),
    ],
)
def test_wrong_arguments(arguments: Any, error: type[Exception], message: str) -> None:
    for module in (kernels, reference):
        with pytest.raises(error, match=message):
            module.letterbox(*arguments)
