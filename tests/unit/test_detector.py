"""A picture becomes faces: geometry, thresholds, every kind of export, threads."""

import os
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from service.detection import detector as module
from service.detection.detector import (
    DetectionOptions,
    Detector,
    FacesFound,
    automatic_threads,
    usable_cores,
)
from tests.detectors import CELLS, find, load
from tests.onnx_models import LANDMARKS, REACH, Face, answering, picture_of_cells, scanner, tables

OPTIONS = DetectionOptions(confidence=0.5, nms_threshold=0.4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return load(scanner(tmp_path_factory.mktemp("models") / "free.onnx"))


def boxes_of(cells: list[tuple[int, int]], size: float = 8) -> npt.NDArray[np.float64]:
    """Where `scanner` sees the faces of `picture_of_cells`, not clipped."""
    corner = np.array(cells, np.float64)
    return np.hstack([corner - REACH, corner + REACH]) * size


def sorted_boxes(found: FacesFound) -> npt.NDArray[np.float64]:
    boxes = found.boxes()
    return boxes[np.lexsort(boxes.T)]


# Exports differ.


@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("size", [(None, None), (640, 640)])
def test_every_kind_of_export(
    landmarks: bool, dimensions: int, size: tuple[int | None, int | None], path: Path
) -> None:
    count = 9 if landmarks else 6
    order = np.random.default_rng(dimensions).permutation(count).tolist()
    names = [f"{(7 * index) % 11}:output/{index}" for index in range(count)]
    detector = load(
        scanner(path, size=size, landmarks=landmarks, dimensions=dimensions, order=order, names=names)
    )
    assert detector.supports_landmarks is landmarks
    assert detector.input_size == (640, 640)
    found = find(detector, picture_of_cells(640, 384, CELLS))
    assert found.tensor_size == ((640, 384) if size == (None, None) else (640, 640))
    assert found.faces.shape == (3, 15 if landmarks else 5)
    assert found.faces.dtype == np.float32
    expected = boxes_of(CELLS)
    assert np.array_equal(sorted_boxes(found), expected[np.lexsort(expected.T)])
    if landmarks:
        corners = np.tile((found.faces[:, :2] + found.faces[:, 2:4]) / 2, 5)
        assert np.allclose(found.faces[:, 5:], corners + 8 * np.array(LANDMARKS))


def test_three_anchors_and_all_strides(path: Path) -> None:
    faces = [
        Face(*box, 0.9 - 0.1 * level, None, 8 << level)
        for level, box in enumerate([(10, 12, 30, 40), (100, 40, 180, 130), (20, 150, 220, 310)])
    ]
    detector = load(answering(path, tables(faces, 320, 320, anchors=3), shape=[1, 3, 320, 320]))
    found = find(detector, np.zeros((320, 320, 3), np.uint8))
    assert np.allclose(found.faces[:, :4], [face[:4] for face in faces], atol=1e-4)
    assert np.allclose(found.faces[:, 4], [0.9, 0.8, 0.7])


def test_fixed_input_that_is_no_square(path: Path) -> None:
    detector = load(scanner(path, size=(320, 64)))
    assert detector.input_size == (320, 64)
    assert detector.letterboxed_side() == 320
    found = find(detector, picture_of_cells(640, 64, [(4, 1)], size=16))
    assert found.tensor_size == (320, 64)
    assert found.det_scale == 0.5
    assert np.array_equal(found.boxes(), boxes_of([(4, 1)], size=16).clip(0))


# Geometry: scale = min(S/w, S/h), sides rounded, padded to multiples of 32.


@pytest.mark.parametrize(
    ("width", "height", "tensor"),
    [
        (640, 640, (640, 640)),
        (1920, 1080, (640, 384)),
        (1080, 1920, (384, 640)),
        (4032, 3024, (640, 480)),
        (640, 361, (640, 384)),
        (640, 353, (640, 384)),
        (640, 352, (640, 352)),
        (100, 50, (640, 320)),
        (10, 10, (640, 640)),
        (641, 640, (640, 640)),
        (10, 65500, (32, 640)),
        (65500, 10, (640, 32)),
        (640, 32, (640, 32)),
        (640, 33, (640, 64)),
    ],
)
def test_rectangles(width: int, height: int, tensor: tuple[int, int], free: Detector) -> None:
    found = find(free, np.zeros((height, width, 3), np.uint8))
    assert found.tensor_size == tensor
    assert found.det_scale == min(640 / width, 640 / height)
    assert len(found.faces) == 0


@pytest.mark.parametrize("shape", [(3_000_000, 10), (10, 3_000_000)])
@pytest.mark.parametrize("level", [0, 255])
def test_a_line_of_three_million_pixels(shape: tuple[int, int], level: int, free: Detector) -> None:
    picture = np.full((*shape, 3), level, np.uint8)
    found = find(free, picture)
    assert sorted(found.tensor_size) == [32, 640]
    assert np.isfinite(found.faces).all()
    assert (found.boxes() <= [*shape[::-1], *shape[::-1]]).all()


def test_few_shapes(free: Detector) -> None:
    shapes = {find(free, np.zeros((height, 640, 3), np.uint8)).tensor_size for height in range(10, 641, 7)}
    assert len(shapes) == 20


def test_fixed_model_gets_the_square(path: Path) -> None:
    detector = load(scanner(path, size=(640, 640)))
    for width, height in ((1920, 1080), (10, 5000), (100, 50)):
        found = find(detector, np.zeros((height, width, 3), np.uint8))
        assert found.tensor_size == (640, 640)
        assert found.det_scale == min(640 / width, 640 / height)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_large_picture(factor: int, free: Detector) -> None:
    picture = picture_of_cells(640 * factor, 384 * factor, CELLS, size=8 * factor)
    found = find(free, picture)
    assert found.det_scale == 1 / factor
    expected = boxes_of(CELLS, 8 * factor)
    assert np.allclose(sorted_boxes(found), expected[np.lexsort(expected.T)], atol=0.11)


def test_picture_decoded_at_reduced_size(free: Detector) -> None:
    picture = picture_of_cells(1280, 768, CELLS, size=16)
    found = free.detect(picture, 5120, 3072, OPTIONS)
    assert found.det_scale == 0.125
    expected = boxes_of(CELLS, 64)
    assert np.allclose(sorted_boxes(found), expected[np.lexsort(expected.T)], atol=0.11)


def test_small_picture_is_enlarged(free: Detector) -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:30, 40:50] = 255
    found = find(free, picture)
    assert (found.det_scale, found.tensor_size) == (8.0, (640, 480))
    assert len(found.faces)
    assert (found.boxes()[:, :2] >= [38, 18]).all()
    assert (found.boxes()[:, 2:] <= [52, 32]).all()


def test_padding_is_black_in_a_used_tensor(free: Detector) -> None:
    assert len(find(free, np.full((352, 640, 3), 255, np.uint8)).faces)
    found = find(free, np.full((328, 640, 3), 255, np.uint8))
    assert found.tensor_size == (640, 352)
    # Anchors of the rows below 328 lie in the padding; their boxes would begin at 328 - 1.5 · 8.
    assert found.candidates_before_nms == 328 // 8 * 640 // 8


def test_alpha_is_no_colour(free: Detector) -> None:
    picture = picture_of_cells(640, 384, CELLS)
    transparent = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    assert np.array_equal(find(free, transparent).faces, find(free, picture).faces)


# Thresholds and what comes out.


def test_best_first_and_max_faces(path: Path) -> None:
    faces = [Face(30 * i, 8, 30 * i + 20, 40, 0.5 + 0.04 * ((7 * i) % 10)) for i in range(10)]
    detector = load(answering(path, tables(faces, 320, 320), shape=[1, 3, 320, 320]))
    picture = np.zeros((320, 320, 3), np.uint8)
    everything = find(detector, picture, max_faces=0)
    scores = everything.faces[:, 4].tolist()
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    for most in (1, 3, 10, 99, 2**31 - 1):
        found = find(detector, picture, max_faces=most)
        assert np.array_equal(found.faces, everything.faces[:most])
        assert found.candidates_before_nms == found.candidates_after_nms == 10


def test_a_sliver_does_not_use_up_max_faces(path: Path) -> None:
    faces = [Face(-50, 8, 0.04, 40, 0.95), Face(100, 100, 140, 150, 0.8)]
    detector = load(answering(path, tables(faces, 320, 320), shape=[1, 3, 320, 320]))
    found = find(detector, np.zeros((320, 320, 3), np.uint8), max_faces=1)
    assert found.boxes().tolist() == [[100.0, 100.0, 140.0, 150.0]]
    assert found.candidates_after_nms == 2


def test_threshold_is_inclusive(path: Path) -> None:
    detector = load(answering(path, tables([Face(8, 8, 30, 40, 0.5)], 64, 64)))
    picture = np.zeros((64, 64, 3), np.uint8)
    assert len(find(detector, picture, confidence=0.5).faces) == 1
    assert len(find(detector, picture, confidence=0.51).faces) == 0


def test_overlapping_faces(path: Path) -> None:
    # 30 and 20 of 40 px of their width shared: IoU 0.6 and 1/3.
    faces = [Face(100, 100, 140, 140, 0.9), Face(110, 100, 150, 140, 0.8), Face(80, 100, 120, 140, 0.7)]
    detector = load(answering(path, tables(faces, 320, 320), shape=[1, 3, 320, 320]))
    picture = np.zeros((320, 320, 3), np.uint8)
    for nms_threshold, left in ((0.3, 1), (0.4, 2), (0.7, 3)):
        found = find(detector, picture, nms_threshold=nms_threshold)
        assert (found.candidates_before_nms, found.candidates_after_nms) == (3, left)


def test_boxes_are_clipped_and_landmarks_are_not(path: Path) -> None:
    points = (-20.0, 10.0, 15.0, 10.0, 0.0, 20.0, -10.0, 30.0, 12.0, 330.0)
    detector = load(
        answering(path, tables([Face(-30, 5, 25, 400, 0.9, points)], 320, 320), shape=[1, 3, 320, 320])
    )
    found = find(detector, np.zeros((320, 320, 3), np.uint8))
    assert found.boxes().tolist() == [[0, 5, 25, 320]]
    assert np.allclose(found.faces[0, 5:], points, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("output", range(9))
def test_outputs_that_are_no_numbers(value: float, output: int, path: Path) -> None:
    outputs = tables([Face(8, 8, 30, 40, 0.9)], 64, 64)
    outputs[output][1::2] = value
    found = find(load(answering(path, outputs)), np.zeros((64, 64, 3), np.uint8))
    assert np.isfinite(found.faces).all()
    if output >= 3:
        assert [8, 8, 30, 40] in found.boxes().round(0).tolist()


def test_nothing_but_nan(path: Path) -> None:
    outputs = [np.full_like(table, np.nan) for table in tables([], 64, 64)]
    found = find(load(answering(path, outputs)), np.zeros((64, 64, 3), np.uint8))
    assert found.faces.shape == (0, 15)
    assert found.candidates_before_nms == 0


def test_times(free: Detector) -> None:
    found = find(free, picture_of_cells(640, 384, CELLS))
    assert found.preprocess_seconds >= found.blob_seconds > 0
    assert found.postprocess_seconds >= found.nms_seconds >= 0
    assert found.inference_seconds > 0


# Threads.


def test_many_threads(path: Path) -> None:
    detector = load(scanner(path), max_inferences=2)
    pictures = [picture_of_cells(640, 384 - 32 * n, [(4 + 5 * n, 6 + n)]) for n in range(4)]
    expected = [find(detector, picture).faces for picture in pictures]
    agreed: list[bool] = []

    def work(index: int) -> None:
        for turn in range(12):
            which = (index + turn) % len(pictures)
            agreed.append(np.array_equal(find(detector, pictures[which]).faces, expected[which]))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agreed == [True] * 48


def test_no_more_inferences_than_slots(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(scanner(path), 64, max_inferences=2)
    working, lock = detector._onnx.run, threading.Lock()
    running, most = 0, 0

    def counted(tensor: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1
        return working(tensor)

    monkeypatch.setattr(detector._onnx, "run", counted)
    picture = np.zeros((64, 64, 3), np.uint8)
    threads = [threading.Thread(target=find, args=(detector, picture)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


@pytest.mark.parametrize(
    ("cores", "configured", "inferences", "workers", "threads"),
    [(8, 0, 1, 1, 8), (8, 0, 2, 1, 4), (8, 0, 2, 2, 2), (2, 0, 4, 1, 1), (2, 6, 4, 1, 6), (3, 0, 2, 1, 1)],
)
def test_automatic_threads(
    cores: int, configured: int, inferences: int, workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    assert automatic_threads(configured, inferences, workers) == threads


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("odd", 8), ("1600000 100000", 8)],
)
def test_usable_cores(limit: str, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda _: limit)
    assert usable_cores() == cores
