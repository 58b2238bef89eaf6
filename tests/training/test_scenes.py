"""Composed views and their labels."""

import random

import cv2
import numpy as np
import pytest

from native import reference
from tests.training.support import labelled_folder
from training import geometry, masked, photometric, scenes
from training.geometry import DOUBTFUL, FACE_WIDTH, View
from training.labels import read_labels
from training.masked import mask_faces
from training.pool import Pool
from training.scenes import compose


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("scenes")
    return Pool(read_labels(labelled_folder(folder / "faces"), None), folder / "cache")


def test_views_keep_their_promises(pool: Pool) -> None:
    rng = random.Random(8)
    faces = 0
    for size in (64, 160) * 150:
        view = compose(pool, rng, size)
        assert view.pixels.shape == (size, size, 3)
        assert view.pixels.dtype == np.uint8
        assert view.faces.dtype == view.ignore.dtype == np.float32
        for boxes in (view.faces[:, :4], view.ignore):
            assert (boxes >= -0.01).all()
            assert (boxes <= size + 0.01).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (np.sqrt((view.faces[:, 2:4] - view.faces[:, :2]).prod(1)) >= 6).all()
        faces += len(view.faces)
    assert faces > 300


def test_the_same_seed_gives_the_same_view(pool: Pool) -> None:
    for seed in range(12):
        first, second = compose(pool, random.Random(seed), 96), compose(pool, random.Random(seed), 96)
        assert np.array_equal(first.pixels, second.pixels)
        assert np.array_equal(first.faces, second.faces)


def test_a_resampled_view_has_the_same_labels_and_other_pixels(pool: Pool) -> None:
    changed = 0
    for seed in range(60):
        first, second = (compose(pool, random.Random(seed), 48, resampled=again) for again in (False, True))
        assert np.array_equal(first.faces, second.faces, equal_nan=True)
        assert np.array_equal(first.ignore, second.ignore)
        changed += not np.array_equal(first.pixels, second.pixels)
    assert changed > 20


def test_labels_move_with_their_pixels() -> None:
    """A bright spot stays where its landmark says after a mirror and after a move."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[12, 20] = 255
    face = np.array([[10, 5, 30, 25, 20, 12, 26, 12, 22, 16, 20, 20, 26, 20, 0.5]], np.float32)
    mirrored = geometry.mirror(View(pixels, face, face[:, :4] + 1, face[:, :4]))
    y, x = np.argwhere(mirrored.pixels[..., 0] == 255)[0]
    assert (x, y) == (39, 12)
    # The left eye of the mirrored face is the former right one; the spot was on the left one.
    assert mirrored.faces[0, 6:8].tolist() == [40, 12]
    assert mirrored.faces[0, :4].tolist() == mirrored.masked[0].tolist() == [30, 5, 50, 25]
    assert mirrored.ignore[0].tolist() == [29, 6, 49, 26]
    matrix = np.array([[0, -2, 100], [2, 0, 7]], np.float32)  # a quarter turn, twice as large
    moved, _ = geometry.move(face, geometry.no_boxes(), matrix)
    assert moved[0, 4:6].tolist() == [100 - 2 * 12, 2 * 20 + 7]
    assert (moved[0, 2:4] - moved[0, :2]).tolist() == [40, 40]


@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0, -60.0, 90.0, 180.0])
def test_a_turned_box_holds_the_turned_ellipse(degrees: float) -> None:
    angle, stretch = np.radians(degrees), 1.1
    linear = np.array(
        [[np.cos(angle) * stretch, -np.sin(angle)], [np.sin(angle), np.cos(angle) / stretch]], np.float32
    )
    face = np.full((1, FACE_WIDTH), np.nan, np.float32)
    face[0, :4] = 10, 20, 40, 60
    moved, ignore = geometry.move(face, face[:, :4], np.concatenate([linear, [[7], [-3]]], 1))
    around = np.linspace(0, 2 * np.pi, 3601)
    outline = np.stack([25 + 15 * np.cos(around), 40 + 20 * np.sin(around)], 1) @ linear.T + (7, -3)
    expected = np.concatenate([outline.min(0), outline.max(0)])
    assert np.allclose(moved[0, :4], expected, atol=1e-3)
    assert np.array_equal(ignore, moved[:, :4])


def test_a_face_cut_in_half_is_ignored_and_a_sliver_is_gone() -> None:
    faces = np.zeros((3, FACE_WIDTH), np.float32)
    faces[:, :4] = np.array([[0, 0, 20, 20], [-15, 0, 5, 20], [-19.9, 0, 0.1, 20]])
    kept, ignored = geometry.clip(faces, geometry.no_boxes(), (0, 0, 50, 50))
    assert kept[:, :4].tolist() == [[0, 0, 20, 20]]
    assert ignored.tolist() == [[0, 0, 5, 20]]


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.77, 1.0, 1.3, 2.2])
def test_pixels_lie_where_their_labels_say(scale: float) -> None:
    source = np.zeros((200, 240, 3), np.uint8)
    source[60:100, 80:140] = 255
    source = np.asarray(cv2.blur(source, (15, 15)), np.uint8)  # edges that do not alias
    matrix = np.array([[scale, 0, 11.3], [0, scale, -4.7]], np.float32)
    pixels = np.zeros((460, 560, 3), np.uint8)
    scenes._warp(source, matrix, scale, pixels)
    light = pixels[..., 0].astype(np.float64)
    middles = np.arange(560) + 0.5
    centre = (light.sum(0) @ middles / light.sum(), light.sum(1) @ middles[:460] / light.sum())
    assert centre == pytest.approx((110 * scale + 11.3, 80 * scale - 4.7), abs=0.06)


def test_a_strong_reduction_aliases_where_it_shall() -> None:
    """Stripes of one pixel become grey where their area is taken, and stay light and dark where two pixels are."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[0.3, 0, 0], [0, 0.3, 0]], np.float32)

    def contrast(*, aliased: bool) -> float:
        pixels = np.zeros((120, 120, 3), np.uint8)
        scenes._warp(stripes, matrix, 0.3, pixels, scenes._LEAST_ALIASED if aliased else scenes._CLEAN)
        return float(pixels[10:-10, 10:-10].std())

    assert contrast(aliased=True) > 40
    assert contrast(aliased=False) < 20


def test_the_share_of_masked_views_can_be_chosen(pool: Pool) -> None:
    """With every view masked, hardly a face of the size that is masked is left."""

    def large(share: float) -> int:
        rng = random.Random(6)
        views = [compose(pool, rng, 160, share) for _ in range(120)]
        return sum(int(((v.faces[:, 2:4] - v.faces[:, :2]).min(1) >= 14).sum()) for v in views)

    assert large(1.0) < 0.4 * large(0.0)


def test_masked_faces_are_no_faces() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (96, 96, 3), np.uint8)
    faces = np.full((4, FACE_WIDTH), np.nan, np.float32)
    faces[:, :4] = [[4, 4, 34, 40], [50, 8, 90, 60], [10, 70, 20, 80], [60, 84, 64, 88]]
    seen = set()
    for seed in range(80):
        view = mask_faces(View(pixels, faces, geometry.no_boxes()), random.Random(seed))
        gone = [not (view.faces[:, :4] == face[:4]).all(1).any() for face in faces]
        changed = [
            not np.array_equal(pixels[y1:y2, x1:x2], view.pixels[y1:y2, x1:x2])
            for x1, y1, x2, y2 in faces[:, :4].astype(int)
        ]
        assert gone == changed
        assert np.array_equal(view.masked, faces[gone, :4])
        assert not gone[3]
        if gone[2]:
            assert np.ptp(view.pixels[72:78, 13:17].astype(int), (0, 1)).max() <= 1
        seen.add(tuple(gone[:3]))
    assert (True, True, True) in seen
    assert (True, True, False) in seen
    assert len(seen) > 2


def test_a_mask_can_be_an_oval_for_certain() -> None:
    """It covers the middle of a padded box, and leaves its corners."""
    pixels = np.random.default_rng(5).integers(0, 256, (96, 96, 3), np.uint8)
    faces = np.full((1, FACE_WIDTH), np.nan, np.float32)
    faces[0, :4] = [30, 30, 62, 66]
    views = [
        mask_faces(View(pixels, faces, geometry.no_boxes()), random.Random(seed), ovals=True)
        for seed in range(20)
    ]
    masked_ones = [view for view in views if len(view.masked)]
    assert len(masked_ones) > 10
    for view in masked_ones:
        y, x = (view.pixels != pixels).any(2).nonzero()
        assert abs(int(y.min() + y.max()) // 2 - 48) <= 1
        corner = (y < y.min() + 3) & (x < x.min() + 3)
        assert not corner.any()


def test_what_was_masked_turns_with_its_view() -> None:
    box = np.array([[10, 5, 30, 25]], np.float32)
    view = View(np.zeros((40, 60, 3), np.uint8), geometry.no_faces(), geometry.no_boxes(), box)
    assert scenes._upside_down(view).masked.tolist() == [[30, 15, 50, 35]]


@pytest.mark.parametrize("side", [6, 8, 10, 13])
@pytest.mark.parametrize("finer", [1, 3])
def test_ovals_cover_as_much_as_those_of_the_service(side: int, finer: int) -> None:
    """Its own drawn on a chessboard with more pixels, which it turns grey as far as it covers it."""
    face = np.array([40.3, 40.6, 40.3 + side, 40.6 + 1.3 * side], np.float32)
    box = masked._padded(face, 0.2, finer)
    x1, y1, x2, y2 = (int(edge) for edge in np.rint(box * finer))
    board = np.indices((96 * finer, 96 * finer)).sum(0) % 2 * np.uint8(255)
    board = np.repeat(board.astype(np.uint8)[..., None], 3, 2)
    reference.ellipse(board, x1, y1, x2, y2, 199)
    grey = 1 - np.abs(board[..., 0] - 127.5) / 127.5
    covered = np.asarray(grey.reshape(96, finer, 96, finer).mean((1, 3)))
    theirs = masked._part(np.repeat(covered[..., None], 3, 2), box)[..., 0]
    assert masked._oval(box, finer) == pytest.approx(theirs, abs=0.05)
    assert theirs.mean() == pytest.approx(masked._oval(box, finer).mean(), abs=0.01)
    assert theirs.sum() == pytest.approx(covered.sum())


def test_a_masked_doubtful_place_is_ignored_no_more() -> None:
    faces = np.full((1, FACE_WIDTH), np.nan, np.float32)
    faces[0, :4], faces[0, DOUBTFUL] = [20, 20, 50, 60], 1
    ignore = np.array([[20, 20, 50, 60], [55, 20, 85, 60]], np.float32)
    view = View(np.zeros((96, 96, 3), np.uint8), faces, ignore)
    left = [mask_faces(view, random.Random(seed)) for seed in range(20)]
    assert {(len(v.faces), len(v.ignore)) for v in left} == {(0, 1), (1, 2)}


def test_small_pictures_are_enlarged_as_the_service_enlarges_them(pool: Pool) -> None:
    """Pictures of 160 pixels, whose largest face measures 48, as in an input of 640, or as far as is sensible."""
    rng = random.Random(9)
    views = [scenes._plain(pool, rng, 320, resampled=False) for _ in range(120)]
    largest = max(float((v.faces[:, 2] - v.faces[:, 0]).max(initial=0)) for v in views)
    assert 48 * 2.2 < largest < 48 * 2.2 * 1.25


def test_a_faded_picture_keeps_its_order_of_light() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (4, 1, 3))
    spans = set()
    for seed in range(60):
        faded = photometric._overlay(ramp, random.Random(seed)).astype(int)
        assert (np.diff(faded, axis=1) >= 0).all()
        spans.add(int(np.ptp(faded)) // 64)
    assert len(spans) > 1
