"""Average precision and its companions on cases small enough to check by hand."""

import math

import numpy as np
import pytest

from training.metrics import (
    Detections,
    Truth,
    average_precision,
    match,
    precision_recall,
    recall_at_false_positives,
)

_FACE = [10, 10, 30, 30]
_OTHER = [50, 50, 90, 90]


def _truth(*boxes: list[int], ignore: list[list[int]] | None = None) -> Truth:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Truth(
        array, np.zeros((len(array), 10), np.float32), np.array(ignore or [], np.float32).reshape(-1, 4)
    )


def _found(*rows: tuple[list[int], float]) -> Detections:
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([row[1] for row in rows], np.float32))


def test_all_found_is_one() -> None:
    matches = match([(_found((_FACE, 0.9), (_OTHER, 0.4)), _truth(_FACE, _OTHER))])
    assert average_precision(matches) == pytest.approx(1.0)
    assert precision_recall(matches, 0.5) == (1.0, 0.5)


def test_a_false_alarm_before_the_second_face() -> None:
    matches = match(
        [(_found((_FACE, 0.9), ([100, 100, 120, 120], 0.8), (_OTHER, 0.7)), _truth(_FACE, _OTHER))]
    )
    assert average_precision(matches) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert precision_recall(matches, 0.5) == pytest.approx((2 / 3, 1.0))
    assert recall_at_false_positives(matches, 0.1) == 0.5
    assert recall_at_false_positives(matches, 1.0) == 1.0


def test_a_second_box_on_a_face_is_a_false_alarm() -> None:
    matches = match([(_found((_FACE, 0.9), ([11, 10, 31, 30], 0.8)), _truth(_FACE))])
    assert matches.correct.tolist() == [True, False]


def test_ignored_places_count_neither_way() -> None:
    matches = match([(_found(([100, 100, 120, 120], 0.8)), _truth(_FACE, ignore=[[95, 95, 130, 130]]))])
    assert not len(matches.scores)
    assert matches.faces == 1


def test_sizes_outside_count_neither_way() -> None:
    pair = (_found((_FACE, 0.9), (_OTHER, 0.4)), _truth(_FACE, _OTHER))
    matches = match([pair], 30, 100)
    assert matches.faces == 1
    assert matches.scores.tolist() == pytest.approx([0.4])
    assert average_precision(matches) == 1.0


def test_without_a_face_there_is_no_precision() -> None:
    assert math.isnan(average_precision(match([(_found(), _truth())])))


def test_landmark_errors_are_in_units_of_the_face() -> None:
    truth = _truth(_FACE)
    found = Detections(truth.boxes, np.array([0.9], np.float32), np.full((1, 10), 2.0, np.float32))
    assert match([(found, truth)]).landmark_errors.tolist() == pytest.approx([math.hypot(2, 2) / 20])
