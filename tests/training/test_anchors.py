"""Anchors and the overlap of boxes."""

import numpy as np
import pytest

from training.anchors import STRIDES, anchors, iou, shares_inside


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


def test_the_share_of_a_box_inside_another() -> None:
    a = np.array([[0, 0, 10, 10], [2, 2, 6, 7], [20, 20, 20, 20]], np.float32)
    b = np.array([[0, 0, 5, 10], [0, 0, 20, 20]], np.float32)
    assert shares_inside(a, b) == pytest.approx(np.array([[0.5, 1], [0.75, 1], [0, 0]]), abs=1e-5)
    assert shares_inside(a, b[:0]).shape == (3, 0)
