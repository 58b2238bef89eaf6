"""Twins of views."""

import random

import cv2
import numpy as np
import pytest

from training import geometry
from training.geometry import DOUBTFUL, FACE_WIDTH, LANDMARKS, View
from training.twins import twin_of, twins_by

_SIZE = 160


def _view(*boxes: tuple[float, float, float, float]) -> View:
    """Grey, with a bright disc for each face and its landmarks in the disc's middle."""
    faces = np.zeros((len(boxes), FACE_WIDTH), np.float32)
    pixels = np.full((_SIZE, _SIZE, 3), 60, np.uint8)
    for face, (x1, y1, x2, y2) in zip(faces, boxes, strict=True):
        middle = (x1 + x2) / 2, (y1 + y2) / 2
        face[:4], face[LANDMARKS] = (x1, y1, x2, y2), np.tile(middle, 5)
        cv2.circle(pixels, (round(middle[0]), round(middle[1])), 6, (255, 255, 255), -1)
    return View(pixels, faces, geometry.no_boxes(), faces[:, :4])


def test_a_twin_shows_the_same_faces_where_its_labels_say() -> None:
    view = _view((40, 50, 70, 80), (100, 90, 124, 114))
    changed, moved = 0, 0
    for seed in range(40):
        twin = twin_of(view, random.Random(seed))
        assert twin.pixels.shape == view.pixels.shape
        assert twin.pixels.dtype == np.uint8
        assert len(twin.faces) == 2
        assert np.array_equal(twin.masked, twin.faces[:, :4])
        changed += not np.array_equal(twin.pixels, view.pixels)
        moved += not np.array_equal(twin.faces, view.faces)
        bright = cv2.connectedComponentsWithStats((twin.pixels[..., 0] > 160).astype(np.uint8))[3][1:]
        for face in twin.faces:
            # A pixel's middle is half a pixel from its corner.
            assert np.abs(bright + 0.5 - face[4:6]).sum(1).min() < 1.5
            assert face[2] - face[0] == pytest.approx(30 if face[0] < 80 else 24, rel=0.1)
    assert changed >= 38
    assert 5 < moved < 22


def test_a_view_is_left_as_it_is() -> None:
    view = _view((40, 50, 70, 80))
    pixels, faces = view.pixels.copy(), view.faces.copy()
    for seed in range(20):
        twin_of(view, random.Random(seed))
    assert np.array_equal(view.pixels, pixels)
    assert np.array_equal(view.faces, faces)


def test_a_face_that_the_view_cuts_is_doubtful_where_it_moves() -> None:
    view = _view((0, 50, 30, 80), (100, 90, 124, 114))
    for seed in range(40):
        twin = twin_of(view, random.Random(seed))
        moved = not np.array_equal(twin.faces[:, :4], view.faces[:, :4])
        assert twin.faces[:, DOUBTFUL].tolist() == [float(moved), 0]
    assert twin_of(_view(), random.Random(1)).faces.shape == (0, FACE_WIDTH)


def test_a_twin_is_composed_of_the_same_draws() -> None:
    def compose(rng: random.Random, *, resampled: bool = False) -> View:
        x = float(rng.randrange(20, 100))
        view = _view((x, 50, x + 30, 80))
        view.pixels[0, 0] = 200 if resampled else 10
        return view

    rng = random.Random(3)
    firsts = set()
    for _ in range(20):
        view, twin = twins_by(compose, rng)
        assert view.pixels[0, 0].tolist() == [10, 10, 10]
        assert np.abs(twin.faces[0, :4] - view.faces[0, :4]).max() <= 16
        firsts.add(float(view.faces[0, 0]))
    assert len(firsts) > 10
