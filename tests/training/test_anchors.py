"""Anchors and their assignment."""

import numpy as np
import pytest

from training.anchors import STRIDES, anchors, assign, iou


def test_anchors_are_those_that_the_service_decodes() -> None:
    boxes, strides = anchors(64)
    assert len(boxes) == sum((64 // stride) ** 2 * 2 for stride in STRIDES)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    # SCRFD: a cell's anchors are centred on its upper left corner, two of each cell in a row, cells row by row.
    assert centres[:4].tolist() == [[0, 0], [0, 0], [8, 0], [8, 0]]
    assert strides.tolist() == sorted(strides.tolist())


def test_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], np.float32)
    assert iou(a, a) == pytest.approx(np.array([[1, 1 / 3], [1 / 3, 1]]), abs=1e-5)


@pytest.mark.parametrize("size", [6, 8, 12, 20, 45, 90, 200, 300])
def test_every_face_has_an_anchor_near_its_centre(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(20):
        x, y = rng.uniform(0, 320 - size, 2)
        face = np.array([[x, y, x + size, y + size]], np.float32)
        owner = assign(320, face)
        chosen = np.flatnonzero(owner == 0)
        assert len(chosen)
        boxes, _ = anchors(320)
        centres = (boxes[chosen, :2] + boxes[chosen, 2:]) / 2
        reach = max(size / 2, 6) + 8  # one cell more, for the face left without any
        assert (np.abs(centres - [x + size / 2, y + size / 2]) <= reach).all()


def test_an_anchor_of_two_faces_goes_to_the_nearer_fit() -> None:
    faces = np.array([[40, 40, 72, 72], [44, 40, 76, 72]], np.float32)
    owner = assign(160, faces)
    boxes, _ = anchors(160)
    overlap = iou(boxes, faces)
    for index in np.flatnonzero(owner >= 0):
        other = 1 - owner[index]
        assert overlap[index, owner[index]] >= overlap[index, other] or not (owner == other).any()
    assert {0, 1} <= set(owner.tolist())


def test_no_face_no_positive() -> None:
    assert (assign(96, np.zeros((0, 4), np.float32)) == -1).all()
