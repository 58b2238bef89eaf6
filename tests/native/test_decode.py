"""Decoding and suppression: against the twin, and against truths worked out by hand or by another road."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from native import kernels, reference
from native.detections import Detections
from tests.native.support import examples

Floats = NDArray[np.float32]
Outputs = dict[str, Any]

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 3e38, -3e38, 1e-42]


def outputs(
    rng: np.random.Generator, strides: list[int], cells: list[tuple[int, int]], anchors: int, landmarks: bool
) -> Outputs:
    """Random outputs in two decimals, so that ties are common; (rows, columns) of each stride in `cells`."""
    counts = [rows * columns * anchors for rows, columns in cells]
    return {
        "scores": [rng.uniform(0, 1, (n, 1)).round(1).astype(np.float32) for n in counts],
        "boxes": [rng.uniform(-0.5, 3, (n, 4)).round(1).astype(np.float32) for n in counts],
        "landmarks": [rng.normal(0, 1, (n, 10)).astype(np.float32) for n in counts] if landmarks else None,
        "strides": strides,
        "anchors": anchors,
        "tensor_width": strides[0] * cells[0][1],
    }


@st.composite
def cases(draw: st.DrawFn) -> Outputs:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    strides = draw(st.sampled_from([[8], [8, 16], [8, 16, 32], [32, 8]]))
    columns, rows = 32 * draw(st.integers(1, 3)), draw(st.integers(0, 3))
    cells = [(rows * 32 // s, columns // s) for s in strides]
    case = outputs(rng, strides, cells, draw(st.integers(1, 3)), draw(st.booleans()))
    for name in ("scores", "boxes", "landmarks"):
        for array in case[name] or []:
            if array.size and draw(st.booleans()):
                for value in draw(st.lists(st.sampled_from(SPECIAL), max_size=5)):
                    array.reshape(-1)[rng.integers(array.size)] = value
    shape = draw(st.sampled_from(["flat", "two", "three", "strided", "read-only"]))
    for name in ("scores", "boxes", "landmarks"):
        if case[name] is not None:
            case[name] = [reshaped(array, shape) for array in case[name]]
    case.update(
        score_threshold=draw(st.sampled_from([0.0, 0.02, 0.5, 1.0])),
        nms_threshold=draw(st.sampled_from([0.0, 0.4, 0.45, 1.0])),
        scale=draw(st.sampled_from([1.0, 0.37, 2.5])),
        width=draw(st.integers(1, 200)),
        height=draw(st.integers(1, 200)),
        max_faces=draw(st.sampled_from([0, 1, 3, 1000])),
    )
    return case


def reshaped(array: Floats, shape: str) -> Floats:
    if shape == "flat":
        return array[:, 0] if array.shape[1] == 1 else array
    if shape == "three":
        return array[np.newaxis]
    if shape == "strided":
        return np.repeat(array, 2, axis=0)[::2]
    if shape == "read-only":
        array.flags.writeable = False
    return array


def assert_same(ours: Detections, theirs: Detections) -> None:
    np.testing.assert_array_equal(ours.faces, theirs.faces)
    assert ours.faces.dtype == np.float32
    assert ours[1:3] == theirs[1:3]


@examples(300)
@given(cases())
def test_agrees_with_the_twin_to_the_bit(case: Outputs) -> None:
    ours = kernels.decode_detections(**case)
    assert_same(ours, reference.decode_detections(**case))
    assert ours.nms_seconds >= 0
    assert np.isfinite(ours.faces).all()


@examples(60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.4, 0.7]))
def test_suppression_by_its_definition(seed: int, threshold: float) -> None:
    """No two survivors overlap too much, and each fallen candidate has a better survivor that it overlaps."""
    rng = np.random.default_rng(seed)
    case = outputs(rng, [8], [(12, 12)], 2, landmarks=False)
    found = kernels.decode_detections(
        **case, score_threshold=0.3, nms_threshold=threshold, scale=1.0, width=10**6, height=10**6
    )
    everything = kernels.decode_detections(
        **case, score_threshold=0.3, nms_threshold=1.0, scale=1.0, width=10**6, height=10**6
    )
    # Boxes reaching beyond the picture are clipped in the results: leave them out of the comparison.
    kept = found.faces[(found.faces[:, :2] > 0).all(axis=1)].astype(np.float64)
    faces = everything.faces[(everything.faces[:, :2] > 0).all(axis=1)].astype(np.float64)
    assert (np.diff(found.faces[:, 4]) <= 0).all()
    pairs = iou(kept, kept)
    np.fill_diagonal(pairs, 0)
    assert pairs.max(initial=0) <= threshold + 1e-5
    if (found.faces[:, :2] > 0).all():
        survived = (faces[:, np.newaxis, :5] == kept[np.newaxis, :, :5]).all(axis=2)
        better = faces[:, np.newaxis, 4] <= kept[np.newaxis, :, 4]
        assert (survived.any(axis=1) | (better & (iou(faces, kept) > threshold - 1e-5)).any(axis=1)).all()


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(a[:, np.newaxis, :2], b[np.newaxis, :, :2])
    high = np.minimum(a[:, np.newaxis, 2:4], b[np.newaxis, :, 2:4])
    inter = np.prod(np.maximum(high - low, 0), axis=2)
    area_a, area_b = (np.prod(np.maximum(c[:, 2:4] - c[:, :2], 0), axis=1) for c in (a, b))
    union = area_a[:, np.newaxis] + area_b[np.newaxis] - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0), np.float64)


def single(scores: list[float], boxes: list[list[float]], **changes: Any) -> Detections:
    """One stride of 8, one row of cells, one anchor each."""
    arguments: Outputs = {
        "score_threshold": 0.5,
        "nms_threshold": 0.4,
        "scale": 1.0,
        "width": 100,
        "height": 100,
        "landmarks": None,
    }
    arguments.update(changes)
    return kernels.decode_detections(
        [np.array(scores, np.float32)],
        [np.array(boxes, np.float32).reshape(-1, 4)],
        strides=[8],
        anchors=1,
        tensor_width=8 * len(scores),
        **arguments,
    )


def test_one_anchor_by_hand() -> None:
    # Third cell of the second row, second anchor: number (1 * 4 + 2) * 2 + 1 = 13; centre (16, 8) at stride 8.
    scores, boxes, points = np.zeros((1, 16, 1)), np.zeros((1, 16, 4)), np.zeros((1, 16, 10))
    scores[0, 13], boxes[0, 13] = 0.75, [1, 0.5, 2, 3]
    points[0, 13] = [-1, -0.5, 1, -0.5, 0, 0, -1, 1, 1, 1]
    found = kernels.decode_detections(
        [scores.astype(np.float32)],
        [boxes.astype(np.float32)],
        [points.astype(np.float32)],
        [8],
        2,
        32,
        score_threshold=0.5,
        nms_threshold=0.4,
        scale=0.5,
        width=200,
        height=60,
    )
    expected = [16, 8, 64, 60, 0.75, 16, 8, 48, 8, 32, 16, 16, 32, 48, 32]  # bottom 64 clipped to 60
    assert found.faces.tolist() == [expected]
    assert found[1:3] == (1, 1)


def test_ties_go_to_the_earlier_anchor() -> None:
    found = single([0.9, 0.9, 0.9], [[0, 0, 3, 3], [1, 0, 2, 3], [2, 0, 1, 3]])
    assert found.faces.tolist() == [[0, 0, 24, 24, pytest.approx(0.9)]]
    assert found[1:3] == (3, 1)


def test_an_iou_equal_to_the_threshold_survives() -> None:
    # Boxes 0..16 and 8..24 of the same height: intersection 8, union 24. With 1/4: 0..40 and 24..64 -> 16 / 64.
    assert len(single([0.9, 0.8], [[0, 0, 5, 1], [-2, 0, 7, 1]], nms_threshold=0.25).faces) == 2
    assert len(single([0.9, 0.8], [[0, 0, 5, 1], [-2, 0, 7, 1]], nms_threshold=0.24).faces) == 1


def test_suppression_sees_unclipped_boxes() -> None:
    # Both are the same 8 px after clipping, but hardly overlap before it.
    found = single([0.9, 0.8], [[9, 0, 1, 1], [1, 0, 0, 9]], nms_threshold=0.2)
    assert len(found.faces) == 2


def test_boxes_outside_or_inside_out_are_dropped_after_suppression() -> None:
    found = single([0.9, 0.8, 0.7], [[5, 0, -1, 1], [0, 0, -1, 1], [0, 0, 1, 1]])
    assert found.faces[:, :4].tolist() == [[16, 0, 24, 8]]
    assert found[1:3] == (3, 3)


def test_max_faces_counts_faces_that_are_returned() -> None:
    boxes = [[5.0, 0.0, -1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.5, 1.0]]
    assert single([0.9, 0.8, 0.7], boxes, max_faces=1).faces[:, 4].tolist() == [pytest.approx(0.8)]


def test_a_score_at_the_threshold_counts() -> None:
    assert len(single([0.3], [[0, 0, 1, 1]], score_threshold=0.3).faces) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_candidate(value: float) -> None:
    assert single([value], [[0, 0, 1, 1]], score_threshold=0.0).candidates_before_nms == 0
    assert single([0.9], [[0, 0, value, 1]]).candidates_before_nms == 0
    points = np.zeros((1, 10), np.float32)
    points[0, 9] = value
    assert single([0.9], [[0, 0, 1, 1]], landmarks=[points]).candidates_before_nms == 0


def test_nothing_at_all() -> None:
    empty = np.empty((0, 1), np.float32)
    found = kernels.decode_detections(
        [empty],
        [np.empty((0, 4), np.float32)],
        [np.empty((0, 10), np.float32)],
        [8],
        2,
        640,
        score_threshold=0.5,
        nms_threshold=0.4,
        scale=1.0,
        width=10,
        height=10,
    )
    assert found.faces.shape == (0, 15)
    assert found[1:3] == (0, 0)


@pytest.mark.parametrize("spread", [0.4, 3.0])
def test_every_anchor_above_the_threshold(spread: float) -> None:
    """All 16,800 anchors of a 640 x 640 input: as many survivors as anchors, nearly, and then hardly any."""
    rng = np.random.default_rng(5)
    case = outputs(rng, [8, 16, 32], [(80, 80), (40, 40), (20, 20)], 2, landmarks=True)
    case["scores"] = [rng.uniform(0.5, 1, s.shape).astype(np.float32) for s in case["scores"]]
    case["boxes"] = [np.abs(b) * np.float32(spread / 3) for b in case["boxes"]]
    case.update(score_threshold=0.02, nms_threshold=0.4, scale=0.5, width=1280, height=1280)
    ours = kernels.decode_detections(**case)
    assert ours.candidates_before_nms == 16800
    assert_same(ours, reference.decode_detections(**case))


GOOD: Outputs = {
    "scores": [np.zeros((4, 1), np.float32)],
    "boxes": [np.zeros((4, 4), np.float32)],
    "landmarks": [np.zeros((4, 10), np.float32)],
    "strides": [8],
    "anchors": 2,
    "tensor_width": 16,
    "score_threshold": 0.5,
    "nms_threshold": 0.4,
    "scale": 1.0,
    "width": 10,
    "height": 10,
}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scores": [np.zeros(4)]}, TypeError, r"scores\[0\] must be float32, not float64"),
        ({"scores": [[0.5] * 4]}, TypeError, r"scores\[0\] must be a NumPy array"),
        ({"scores": []}, ValueError, "scores has 0 arrays for 1 strides"),
        ({"boxes": [np.zeros((4, 5), np.float32)]}, ValueError, r"boxes\[0\] must be \(N, 4\)"),
        ({"boxes": [np.zeros((3, 4), np.float32)]}, ValueError, r"boxes\[0\] has 3 anchors"),
        ({"landmarks": [np.zeros((4, 9), np.float32)]}, ValueError, r"landmarks\[0\] must be \(N, 10\)"),
        ({"tensor_width": 32}, ValueError, r"scores\[0\] has 4 values"),
        ({"tensor_width": 12}, ValueError, "tensor_width must be a multiple of stride 8, got 12"),
        ({"strides": [0]}, ValueError, r"strides\[0\] must be between 1"),
        ({"anchors": 2.0}, TypeError, "anchors must be an integer, not float"),
        ({"score_threshold": 1.5}, ValueError, "score_threshold must be between 0 and 1, got 1.5"),
        ({"nms_threshold": float("nan")}, ValueError, "nms_threshold must be finite"),
        ({"scale": 0}, ValueError, "scale must be above 0"),
        ({"width": 0}, ValueError, "width must be between 1"),
        ({"max_faces": -1}, ValueError, "max_faces must be between 0"),
    ],
)
def test_wrong_arguments(changes: Outputs, error: type[Exception], message: str) -> None:
    for module in (kernels, reference):
        with pytest.raises(error, match=message):
            module.decode_detections(**{**GOOD, **changes})
