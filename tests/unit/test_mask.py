"""Which pixels a mask covers, and that it leaves all others alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.mask import MaskOptions, Region, mask_regions, padded_region
from service.settings import MaskMethod

Pixels = npt.NDArray[np.uint8]

METHODS: tuple[MaskMethod, ...] = ("gaussian", "pixelate", "solid", "elliptical")


def noise(width: int = 120, height: int = 90, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def masked(
    picture: Pixels, regions: list[Region], method: MaskMethod = "gaussian", strength: int = 31
) -> Pixels:
    copy = picture.copy()
    mask_regions(copy, regions, MaskOptions(method=method, strength=strength, padding=0))
    return copy


def covered(regions: list[Region], like: Pixels) -> npt.NDArray[np.bool_]:
    cover = np.zeros(like.shape[:2], bool)
    for x1, y1, x2, y2 in regions:
        cover[y1:y2, x1:x2] = True
    return cover


@pytest.mark.parametrize(
    ("bbox", "padding", "region"),
    [
        ((10, 20, 30, 60), 0.0, (10, 20, 30, 60)),
        ((10, 20, 30, 60), 0.1, (8, 16, 32, 64)),
        ((10, 20, 30, 60), 0.25, (5, 10, 35, 70)),
        ((10, 20, 30, 60), 2.0, (0, 0, 70, 90)),
        ((10.1, 20.9, 30.1, 60.9), 0.0, (10, 20, 31, 61)),
        ((0, 0, 120, 90), 2.0, (0, 0, 120, 90)),
        ((119.9, 89.9, 120, 90), 0.0, (119, 89, 120, 90)),
        ((0, 0, 0.1, 0.1), 0.0, (0, 0, 1, 1)),
        ((50.4, 50.4, 50.6, 50.6), 0.0, (50, 50, 51, 51)),
        ((50, 50, 51, 51), 0.3, (49, 49, 52, 52)),
        ((110, 80, 120, 90), 0.5, (105, 75, 120, 90)),
        # In floating point a little less than 1 and a little more than 31.
        ((2.3, 20, 4.9, 60), 0.5, (1, 0, 7, 80)),
        ((1.2, 20, 16.1, 60), 1.0, (0, 0, 31, 90)),
    ],
)
def test_padded_region(bbox: tuple[float, float, float, float], padding: float, region: Region) -> None:
    assert padded_region(bbox, padding, 120, 90) == region


@st.composite
def bboxes(draw: st.DrawFn, width: int = 120, height: int = 90) -> tuple[float, float, float, float]:
    """Boxes as the detector reports them: within the picture, multiples of 0.1 px, of some area."""
    x1, x2 = sorted(draw(st.lists(st.integers(0, 10 * width), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(draw(st.lists(st.integers(0, 10 * height), min_size=2, max_size=2, unique=True)))
    return x1 / 10, y1 / 10, x2 / 10, y2 / 10


@given(bbox=bboxes(), padding=st.floats(0, 2))
def test_region_covers_the_box_and_stays_in_the_picture(
    bbox: tuple[float, float, float, float], padding: float
) -> None:
    x1, y1, x2, y2 = padded_region(bbox, padding, 120, 90)
    assert 0 <= x1 <= bbox[0] < bbox[2] <= x2 <= 120
    assert 0 <= y1 <= bbox[1] < bbox[3] <= y2 <= 90
    assert x2 - x1 <= (bbox[2] - bbox[0]) * (1 + 2 * padding) + 2


@given(
    boxes=st.lists(bboxes(), max_size=6),
    padding=st.floats(0, 2),
    method=st.sampled_from(METHODS),
    strength=st.integers(1, 999),
    channels=st.sampled_from([3, 4]),
)
def test_pixels_outside_are_untouched_and_alpha_stays(
    boxes: list[tuple[float, float, float, float]],
    padding: float,
    method: MaskMethod,
    strength: int,
    channels: int,
) -> None:
    picture = noise(channels=channels)
    regions = [padded_region(box, padding, 120, 90) for box in boxes]
    result = masked(picture, regions, method, strength)
    outside = ~covered(regions, picture)
    assert np.array_equal(result[outside], picture[outside])
    assert np.array_equal(result[..., 3:], picture[..., 3:])
    if method == "solid":
        assert not result[~outside][:, :3].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strength", [1, 2, 20, 51, 999])
@pytest.mark.parametrize(
    "region",
    [(0, 0, 1, 1), (119, 89, 120, 90), (60, 45, 61, 46), (0, 10, 1, 80), (5, 89, 110, 90), (0, 0, 120, 90)],
)
def test_borders_and_boxes_of_one_pixel(method: MaskMethod, strength: int, region: Region) -> None:
    picture = noise()
    result = masked(picture, [region], method, strength)
    outside = ~covered([region], picture)
    assert np.array_equal(result[outside], picture[outside])
    if method == "solid":
        assert not result[~outside].any()


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_depends_on_nothing_outside_of_its_region(method: MaskMethod) -> None:
    region = (30, 20, 90, 80)
    first, second = noise(seed=1), noise(seed=2)
    inside = covered([region], first)
    second[inside] = first[inside]
    assert np.array_equal(masked(first, [region], method)[inside], masked(second, [region], method)[inside])


@pytest.mark.parametrize("method", METHODS)
def test_overlapping_faces_are_masked_one_after_the_other(method: MaskMethod) -> None:
    picture, regions = noise(), [(10, 10, 60, 60), (40, 30, 100, 85), (15, 15, 30, 30)]
    expected = picture
    for region in regions:
        expected = masked(expected, [region], method)
    result = masked(picture, regions, method)
    assert np.array_equal(result, expected)
    changed = (result != picture).any(axis=2)
    if method != "elliptical":
        assert changed[covered(regions, picture)].mean() > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_a_thousand_faces(method: MaskMethod) -> None:
    picture = noise(800, 600)
    random = np.random.default_rng(3)
    corners = random.integers(0, [780, 580], (1000, 2))
    regions = [(int(x), int(y), int(x) + 20, int(y) + 20) for x, y in corners]
    result = masked(picture, regions, method)
    outside = ~covered(regions, picture)
    assert np.array_equal(result[outside], picture[outside])
    assert (result != picture).any()


def test_no_faces() -> None:
    picture = noise()
    assert np.array_equal(masked(picture, []), picture)


def test_pixelate_means() -> None:
    picture = noise()
    result = masked(picture, [(7, 5, 47, 35)], "pixelate", 20)
    for top, left, bottom, right in ((5, 7, 25, 27), (5, 27, 25, 47), (25, 7, 35, 27), (25, 27, 35, 47)):
        block = result[top:bottom, left:right].reshape(-1, 3)
        assert (block == block[0]).all()
        assert np.abs(block[0] - picture[top:bottom, left:right].mean(axis=(0, 1))).max() <= 0.51


def test_elliptical_leaves_the_corners() -> None:
    picture = noise()
    result = masked(picture, [(20, 10, 100, 70)], "elliptical", 51)
    blurred = masked(picture, [(20, 10, 100, 70)], "gaussian", 51)
    y, x = np.mgrid[10:70, 20:100]
    radius = np.hypot((x + 0.5 - 60) / 40, (y + 0.5 - 40) / 30)
    ellipse, same = result[10:70, 20:100], picture[10:70, 20:100]
    assert np.array_equal(ellipse[radius > 1.06], same[radius > 1.06])
    inner = radius < 0.9
    assert np.abs(ellipse[inner].astype(int) - blurred[10:70, 20:100][inner]).max() <= 1


@pytest.mark.parametrize("method", ["gaussian", "elliptical", "pixelate"])
def test_a_strong_mask_takes_the_detail_away(method: MaskMethod) -> None:
    picture = noise()
    result = masked(picture, [(0, 0, 120, 90)], method, 51)
    assert result[20:70, 30:90].std() < picture[20:70, 30:90].std() / 3


def test_every_method_of_the_settings_is_handled() -> None:
    values: tuple[Any, ...] = getattr(MaskMethod, "__args__", ())
    assert sorted(values) == sorted(METHODS)
    for method in METHODS:
        assert not np.array_equal(masked(noise(), [(10, 10, 60, 60)], method), noise())
