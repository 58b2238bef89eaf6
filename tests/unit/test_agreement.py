"""Faces of one way to run a model held against those of another."""

import numpy as np
import numpy.typing as npt
import pytest

from service.detection.agreement import compare, total

Floats = npt.NDArray[np.float32]


def faces(*rows: tuple[float, float, float, float, float]) -> Floats:
    return np.array(rows, np.float32).reshape(-1, 5)


FIRST = (0.0, 0.0, 100.0, 100.0, 0.9)
SECOND = (200.0, 0.0, 260.0, 80.0, 0.6)


def test_the_same_faces_in_another_order() -> None:
    result = compare(faces(FIRST, SECOND), faces(SECOND, FIRST), threshold=0.5)
    assert (result.kept, result.lost, result.new) == (2, 0, 0)
    assert (result.lowest_iou, result.largest_score_change) == (1.0, 0.0)
    assert result.within(least_iou=1.0, most_apart=0.0)


@pytest.mark.parametrize(
    ("found", "numbers"),
    [((FIRST,), (1, 1, 0)), ((FIRST, SECOND, (300, 300, 340, 340, 0.7)), (2, 0, 1)), ((), (0, 2, 0))],
)
def test_lost_and_new_faces_never_agree(
    found: tuple[tuple[float, float, float, float, float], ...], numbers: tuple[int, int, int]
) -> None:
    result = compare(faces(FIRST, SECOND), faces(*found), threshold=0.5)
    assert (result.kept, result.lost, result.new) == numbers
    assert not result.within(least_iou=0.0, most_apart=1.0)


def test_a_moved_box_and_a_changed_score() -> None:
    result = compare(faces(FIRST), faces((10, 0, 110, 100, 0.85)), threshold=0.5)
    assert result.lowest_iou == pytest.approx(90 / 110)
    assert result.largest_score_change == pytest.approx(0.05)
    assert result.within(least_iou=0.8, most_apart=0.06)
    assert not result.within(least_iou=0.9, most_apart=0.06)
    assert not result.within(least_iou=0.8, most_apart=0.04)


def test_a_face_just_under_the_threshold_is_no_lost_one_and_two_under_it_count_for_nothing() -> None:
    result = compare(
        faces((0, 0, 50, 50, 0.51), (100, 0, 150, 50, 0.48)),
        faces((0, 0, 50, 50, 0.49), (100, 0, 150, 50, 0.47)),
        threshold=0.5,
    )
    assert (result.kept, result.lost, result.new) == (1, 0, 0)


def test_each_face_is_paired_once() -> None:
    near = (5.0, 0.0, 105.0, 100.0, 0.8)
    result = compare(faces(FIRST, near), faces(FIRST), threshold=0.5)
    assert (result.kept, result.lost, result.new, result.lowest_iou) == (1, 1, 0, 1.0)


def test_nothing_to_compare() -> None:
    result = compare(faces(), faces(), threshold=0.5)
    assert not result.compared
    assert str(result) == "no face to compare"
    assert total([]) == result


def test_several_pictures_add_up() -> None:
    same = compare(faces(FIRST), faces(FIRST), threshold=0.5)
    moved = compare(faces(FIRST), faces((10, 0, 110, 100, 0.85), SECOND), threshold=0.5)
    both = total([same, moved])
    assert (both.kept, both.lost, both.new) == (2, 0, 1)
    assert both.lowest_iou == moved.lowest_iou
    assert str(both).startswith("2 faces kept, 1 new, lowest IoU 0.818")
