"""Masks: against their twins, against OpenCV's blur, and what they must leave alone."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from native import kernels, reference
from tests.native.support import LAYOUTS, examples, lay_out, pictures, psnr, texture

Image = NDArray[np.uint8]

edges = st.one_of(st.integers(-10, 50), st.sampled_from([-(2**70), 2**31, 2**70]))
boxes = st.tuples(edges, edges, edges, edges)
strengths = st.one_of(st.integers(1, 60), st.sampled_from([99, 199, 998, 999, 10**5, 10**9, 2**70]))
masks = st.sampled_from(["solid", "pixelate", "gaussian", "ellipse"])

SHARED = Path(os.environ.get("FACE_API_TEST_SHARED", Path(__file__).parents[3] / "shared"))


def apply(module: ModuleType, name: str, image: Image, box: tuple[int, ...], strength: int) -> None:
    mask: Callable[..., None] = getattr(module, name)
    mask(image, *box, *(() if name == "solid" else (strength,)))


def clipped(box: tuple[int, ...], image: Image) -> tuple[slice, slice]:
    height, width = image.shape[:2]
    x1, x2 = (min(max(v, 0), width) for v in (box[0], box[2]))
    y1, y2 = (min(max(v, 0), height) for v in (box[1], box[3]))
    return slice(y1, max(y1, y2)), slice(x1, max(x1, x2))


@examples(500)
@given(masks, pictures(), st.sampled_from(LAYOUTS), boxes, strengths)
def test_agrees_with_the_twin(
    name: str, picture: Image, layout: str, box: tuple[int, ...], strength: int
) -> None:
    view, buffer = lay_out(picture, layout)
    expected, untouched = picture.copy(), buffer.copy()
    apply(kernels, name, view, box, strength)
    apply(reference, name, expected, box, strength)
    assert np.abs(view.astype(int) - expected).max() <= (1 if name in ("gaussian", "ellipse") else 0)

    # Outside the box, in the alpha channel and in the buffer around the picture not a bit has changed.
    rows, columns = clipped(box, picture)
    colours = 1 if picture.ndim == 2 else picture.shape[2] - (picture.shape[2] in (2, 4))
    inside = np.zeros(picture.shape if picture.ndim == 3 else (*picture.shape, 1), bool)
    inside[rows, columns, :colours] = True
    inside = inside.reshape(picture.shape)
    np.testing.assert_array_equal(view[~inside], picture[~inside])
    view[...] = picture
    np.testing.assert_array_equal(buffer, untouched)


@examples(60)
@given(pictures(), boxes, st.integers(1, 300))
def test_gaussian_reads_only_the_box(picture: Image, box: tuple[int, int, int, int], ksize: int) -> None:
    rows, columns = clipped(box, picture)
    alone = np.ascontiguousarray(picture[rows, columns])
    kernels.gaussian(picture, *box, ksize)
    if alone.size:
        kernels.gaussian(alone, 0, 0, alone.shape[1], alone.shape[0], ksize)
    np.testing.assert_array_equal(picture[rows, columns], alone)


@pytest.mark.parametrize("ksize", [1, 2, 3, 5, 7, 9, 11, 13])
def test_small_kernels_are_exact(ksize: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (57, 43, 3), dtype=np.uint8)
    odd = ksize | 1
    kernel = cv2.getGaussianKernel(odd, 0.3 * ((odd - 1) * 0.5 - 1) + 0.8)
    expected = cv2.sepFilter2D(
        picture.astype(np.float64), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101
    )
    kernels.gaussian(picture, 0, 0, 43, 57, ksize)
    assert np.abs(picture - expected).max() <= 0.52


def close_to_opencv(picture: Image, ksize: int, size: tuple[int, int]) -> float:
    height, width = size
    top, left = (picture.shape[0] - height) // 3, (picture.shape[1] - width) // 2
    box = (left, top, left + width, top + height)
    expected = cv2.GaussianBlur(picture[clipped(box, picture)].copy(), (ksize, ksize), 0)
    ours = picture.copy()
    kernels.gaussian(ours, *box, ksize)
    return psnr(ours[clipped(box, picture)], expected)


GRID = [3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 25, 31, 37, 51, 75, 99, 151, 199, 399, 999]


@pytest.mark.parametrize("ksize", GRID)
def test_gaussian_is_close_to_opencv(ksize: int) -> None:
    picture = texture(420, 410)
    assert min(close_to_opencv(picture, ksize, size) for size in ((400, 400), (177, 301), (33, 21))) >= 42


@pytest.mark.parametrize(
    "name", ["friends.jpg", "lumia.jpg", "solvay_1927.jpg", "city.jpg", "person_a_1.jpg"]
)
def test_gaussian_is_close_to_opencv_on_photographs(name: str) -> None:
    picture = cv2.imread(str(SHARED / "photos" / name))
    if picture is None:
        pytest.skip(f"no photograph photos/{name}")
    pixels = np.asarray(picture, np.uint8)
    side = min(400, *pixels.shape[:2])
    for ksize in GRID:
        for size in ((side, side), (177, 121), (33, 21)):
            assert close_to_opencv(pixels, ksize, size) >= 40, (ksize, size)


@pytest.mark.parametrize("ksize", [3, 13, 15, 51, 199, 999, 10**9])
@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_blur_keeps_a_flat_picture(ksize: int, level: int) -> None:
    picture = np.full((50, 70, 3), level, np.uint8)
    kernels.gaussian(picture, 0, 0, 70, 50, ksize)
    assert (picture == level).all()


def test_a_kernel_far_wider_than_the_box_leaves_its_mean() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (40, 30), dtype=np.uint8)
    # Reflection without repeating the end pixels counts those once and the others twice.
    weights = [np.array([1.0] + [2.0] * (n - 2) + [1.0]) / (2 * (n - 1)) for n in picture.shape]
    mean = weights[0] @ picture @ weights[1]
    kernels.gaussian(picture, 0, 0, 30, 40, 10**6)
    assert np.abs(picture - mean).max() <= 1


def test_pixelate_by_hand() -> None:
    picture = np.arange(15, dtype=np.uint8).reshape(3, 5)
    kernels.pixelate(picture, -3, 1, 4, 99, 2)
    # Cells start at column 0 and row 1: (5 6 10 11) -> 8, (7 8 12 13) -> 10; column 4 is outside the box.
    assert picture.tolist() == [[0, 1, 2, 3, 4], [8, 8, 10, 10, 9], [8, 8, 10, 10, 14]]


def test_pixelate_rounds_half_up() -> None:
    picture = np.array([[[1, 0], [2, 9]]], np.uint8)
    kernels.pixelate(picture, 0, 0, 2, 1, 2)
    assert picture.tolist() == [[[2, 0], [2, 9]]]


def test_solid_by_hand() -> None:
    picture = np.full((2, 2, 4), 9, np.uint8)
    kernels.solid(picture, 1, 0, 2, 5)
    assert picture[:, 0].tolist() == [[9] * 4] * 2
    assert picture[:, 1].tolist() == [[0, 0, 0, 9]] * 2


@pytest.mark.parametrize(("width", "height"), [(41, 41), (60, 31), (1, 1), (2, 9), (90, 4)])
def test_ellipse_leaves_the_corners_and_blurs_the_middle(width: int, height: int) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (height + 6, width + 6, 3), dtype=np.uint8)
    before, blurred = picture.copy(), picture.copy()
    box = (3, 3, 3 + width, 3 + height)
    kernels.ellipse(picture, *box, 21)
    kernels.gaussian(blurred, *box, 21)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    u, v = (x + 0.5 - 3 - width / 2) * 2 / width, (y + 0.5 - 3 - height / 2) * 2 / height
    distance = np.sqrt(u**2 + v**2)
    np.testing.assert_array_equal(picture[distance >= 1.0001], before[distance >= 1.0001])
    deep = (1 - distance) * min(width, height) / 2 >= 1.001
    np.testing.assert_array_equal(picture[deep], blurred[deep])
    low, high = np.minimum(before, blurred).astype(int), np.maximum(before, blurred).astype(int)
    assert ((picture >= low - 1) & (picture <= high + 1)).all()


def test_a_thousand_boxes() -> None:
    rng = np.random.default_rng(4)
    picture = texture(600, 800)
    expected = picture.copy()
    inside = np.zeros(picture.shape[:2], bool)
    for _ in range(1000):
        x, y = (int(v) for v in rng.integers(-20, (810, 610)))
        box = (x, y, x + int(rng.integers(0, 40)), y + int(rng.integers(0, 40)))
        kernels.gaussian(picture, *box, 21)
        inside[clipped(box, picture)] = True
    assert (picture[~inside] == expected[~inside]).all()
    assert psnr(picture, expected) < 40


def read_only(image: Image) -> Image:
    image.flags.writeable = False
    return image


WRONG: list[tuple[Any, type[Exception], str]] = [
    ([read_only(np.zeros((4, 4, 3), np.uint8))], ValueError, "image is read-only"),
    ([np.zeros((4, 4, 3), np.int16)], TypeError, "image must be uint8, not int16"),
    ([[[1]]], TypeError, "image must be a NumPy array, not list"),
    ([np.zeros((4, 4, 5), np.uint8)], ValueError, r"1 to 4 channels, got shape \(4, 4, 5\)"),
    ([np.zeros(4, np.uint8)], ValueError, "image must be"),
    ([None, 0.0], TypeError, "x1 must be an integer, not float"),
    ([None, 0, 0, 4, "4"], TypeError, "y2 must be an integer, not str"),
]


@pytest.mark.parametrize(("changes", "error", "message"), WRONG)
@pytest.mark.parametrize("name", ["solid", "pixelate", "gaussian", "ellipse"])
def test_wrong_arguments(changes: list[Any], error: type[Exception], message: str, name: str) -> None:
    arguments: list[Any] = [np.zeros((4, 4, 3), np.uint8), 0, 0, 4, 4, *([] if name == "solid" else [3])]
    arguments[: len(changes)] = [a if c is None else c for c, a in zip(changes, arguments, strict=False)]
    for module in (kernels, reference):
        with pytest.raises(error, match=message):
            getattr(module, name)(*arguments)


@pytest.mark.parametrize("name", ["pixelate", "gaussian", "ellipse"])
@pytest.mark.parametrize(("strength", "error"), [(0, ValueError), (-5, ValueError), (2.5, TypeError)])
def test_wrong_strength(name: str, strength: Any, error: type[Exception]) -> None:
    for module in (kernels, reference):
        with pytest.raises(error, match=r"block|ksize"):
            getattr(module, name)(np.zeros((4, 4, 3), np.uint8), 0, 0, 4, 4, strength)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (0, 0)])
@pytest.mark.parametrize("name", ["solid", "pixelate", "gaussian", "ellipse"])
def test_an_empty_picture_is_no_error(name: str, shape: tuple[int, ...]) -> None:
    apply(kernels, name, np.zeros(shape, np.uint8), (0, 0, 4, 4), 3)
