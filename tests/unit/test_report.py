"""The answer of detect: rounding, derived figures, totals, nulls."""

import os
import platform
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.detection.registry import ModelFile
from service.imaging.header import ImageHeader
from service.pipeline import DetectResult, MaskResult
from service.report import detect_response, milliseconds
from service.schemas.detect import DetectResponse
from tests.onnx_models import scanner

WIDTH, HEIGHT = 1600, 1200
FACES = np.array(
    [
        [
            100.04,
            200.06,
            299.96,
            450.51,
            0.912345,
            150.01,
            250.05,
            250.09,
            251,
            200,
            300,
            160,
            400,
            240,
            400.55,
        ],
        [-0.0, 0, 0.26, 10.04, 0.51236, -0.04, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1500, 1100.4, 1600, 1200, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ],
    np.float32,
)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    path = scanner(tmp_path_factory.mktemp("models") / "scanner.onnx")
    return Detector(ModelFile("scanner", path, None), det_size=640)


def result(faces: npt.NDArray[np.float32], *, orientation: int = 1, channels: int = 3) -> DetectResult:
    stored = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    return DetectResult(
        header=ImageHeader(
            format="jpeg", width=stored[0], height=stored[1], channels=channels, orientation=orientation
        ),
        size_bytes=123456,
        options=DetectionOptions(confidence=0.5, nms_threshold=0.4),
        found=FacesFound(
            faces=faces,
            candidates_before_nms=77,
            candidates_after_nms=5,
            det_scale=640 / 1601,
            tensor_size=(640, 480),
            preprocess_seconds=0.0031254,
            blob_seconds=0.0021261,
            inference_seconds=0.012,
            postprocess_seconds=0.00051,
            nms_seconds=0.0000049,
        ),
        decode_seconds=0.00512345,
        total_seconds=0.0333333,
    )


def written(response: DetectResponse) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(response))
    return decoded


def test_first_face_in_full(detector: Detector) -> None:
    answer = written(detect_response(result(FACES), detector, request_id="id"))
    assert answer["detections"][0] == {
        "index": 0,
        "bbox": {"x1": 100.0, "y1": 200.1, "x2": 300.0, "y2": 450.5},
        "confidence": 0.9123,
        "landmarks": {
            "left_eye": {"x": 150.0, "y": 250.1},
            "right_eye": {"x": 250.1, "y": 251.0},
            "nose": {"x": 200.0, "y": 300.0},
            "left_mouth": {"x": 160.0, "y": 400.0},
            "right_mouth": {"x": 240.0, "y": 400.5},
        },
        "size": {"width": 200.0, "height": 250.4},
        "area": 50080.0,
        "center": {"x": 200.0, "y": 325.3},
        "relative": {"x_center": 0.125, "y_center": 0.2711, "width": 0.125, "height": 0.2087},
    }


def test_summary(detector: Detector) -> None:
    answer = written(detect_response(result(FACES), detector, request_id="id"))
    areas = [face["area"] for face in answer["detections"]]
    assert areas == [50080.0, 3.0, 9960.0]
    assert answer["summary"] == {
        "face_count": 3,
        "avg_confidence": 0.6416,
        "min_confidence": 0.5,
        "max_confidence": 0.9123,
        "total_face_area": 60043.0,
        "face_area_ratio": round(60043 / (WIDTH * HEIGHT), 4),
    }


def test_everything_but_the_faces(detector: Detector) -> None:
    answer = written(detect_response(result(FACES, channels=1), detector, request_id="id"))
    assert (answer["request_id"], answer["image_id"], answer["job_id"]) == ("id", None, None)
    assert answer["image"] == {"width": WIDTH, "height": HEIGHT, "channels": 1, "size_bytes": 123456}
    assert answer["processing"] == {
        "model": "scanner",
        "input_size": [640, 640],
        "confidence_threshold": 0.5,
        "nms_threshold": 0.4,
        "inference_ms": 12.0,
        "total_ms": 33.33,
    }
    profiling = answer["profiling"]
    assert profiling.pop("onnx_runtime_version")
    assert profiling.pop("opencv_version")
    assert profiling.pop("model_size_mb") == round(detector.path.stat().st_size / 2**20, 2)
    assert profiling == {
        "decode_ms": 5.12,
        "preprocess_ms": 3.13,
        "blob_ms": 2.13,
        "inference_ms": 12.0,
        "postprocess_ms": 0.51,
        "nms_ms": 0.0,
        "mask_ms": None,
        "encode_ms": None,
        "storage_ms": None,
        "total_ms": 33.33,
        "candidates_before_nms": 77,
        "candidates_after_nms": 5,
        "det_scale": 0.39975,
        "input_resolution": f"{WIDTH}x{HEIGHT}",
        "det_resolution": "640x480",
        "input_bytes": 123456,
        "output_bytes": None,
        "input_pixels": WIDTH * HEIGHT,
        "model_name": "scanner",
        "python_version": platform.python_version(),
        "worker_pid": os.getpid(),
    }


def test_masked_picture(detector: Detector) -> None:
    detected = result(FACES)
    masked = MaskResult(detected=detected, picture=bytes(777), mask_seconds=0.00123456, encode_seconds=0.02)
    profiling = written(detect_response(detected, detector, request_id="id", masked=masked))["profiling"]
    assert (profiling["mask_ms"], profiling["encode_ms"], profiling["output_bytes"]) == (1.23, 20.0, 777)


def test_upright_size(detector: Detector) -> None:
    answer = written(detect_response(result(FACES, orientation=6), detector, request_id="id"))
    assert (answer["image"]["width"], answer["image"]["height"]) == (WIDTH, HEIGHT)
    assert answer["profiling"]["input_resolution"] == f"{WIDTH}x{HEIGHT}"


@pytest.mark.parametrize("columns", [5, 15])
def test_no_faces(columns: int, detector: Detector) -> None:
    answer = written(detect_response(result(np.empty((0, columns), np.float32)), detector, request_id="id"))
    assert answer["detections"] == []
    assert answer["summary"] == {
        "face_count": 0,
        "avg_confidence": None,
        "min_confidence": None,
        "max_confidence": None,
        "total_face_area": 0,
        "face_area_ratio": 0,
    }


def test_landmarks_are_null_without_any(detector: Detector) -> None:
    answer = written(detect_response(result(FACES[:, :5].copy()), detector, request_id="id"))
    assert [face["landmarks"] for face in answer["detections"]] == [None] * 3


def _is_rounded(value: float, digits: int) -> bool:
    return value == round(value, digits)


@given(data=st.data())
def test_a_clients_own_arithmetic_agrees(data: st.DataObject, detector: Detector) -> None:
    rows = []
    for _ in range(data.draw(st.integers(1, 5))):
        x1, y1 = data.draw(st.floats(0, WIDTH - 1)), data.draw(st.floats(0, HEIGHT - 1))
        x2, y2 = data.draw(st.floats(x1 + 0.2, WIDTH)), data.draw(st.floats(y1 + 0.2, HEIGHT))
        rows.append([x1, y1, x2, y2, data.draw(st.floats(0.01, 1))])
    answer = written(detect_response(result(np.array(rows, np.float32)), detector, request_id="id"))
    for index, face in enumerate(answer["detections"]):
        x1, y1, x2, y2 = (face["bbox"][side] for side in ("x1", "y1", "x2", "y2"))
        assert face["index"] == index
        assert all(_is_rounded(value, 1) for value in (x1, y1, x2, y2, *face["center"].values()))
        assert 0 <= x1 < x2 <= WIDTH
        assert 0 <= y1 < y2 <= HEIGHT
        assert face["size"] == {"width": round(x2 - x1, 1), "height": round(y2 - y1, 1)}
        assert face["area"] == round(face["size"]["width"] * face["size"]["height"], 2)
        assert abs(face["center"]["x"] - (x1 + x2) / 2) <= 0.0501
        assert abs(face["center"]["y"] - (y1 + y2) / 2) <= 0.0501
        assert face["relative"]["width"] == pytest.approx((x2 - x1) / WIDTH, abs=5.1e-5)
        assert face["relative"]["y_center"] == pytest.approx((y1 + y2) / 2 / HEIGHT, abs=1e-4)
        assert all(_is_rounded(value, 4) for value in (face["confidence"], *face["relative"].values()))
    summary = answer["summary"]
    scores = [face["confidence"] for face in answer["detections"]]
    assert summary["total_face_area"] == pytest.approx(
        sum(face["area"] for face in answer["detections"]), abs=0.006
    )
    assert _is_rounded(summary["total_face_area"], 2)
    assert (summary["min_confidence"], summary["max_confidence"]) == (min(scores), max(scores))
    assert min(scores) <= summary["avg_confidence"] <= max(scores)


def test_milliseconds() -> None:
    assert [milliseconds(seconds) for seconds in (0, 0.0123456, 1.5, 4e-6)] == [0.0, 12.35, 1500.0, 0.0]


def test_no_minus_zero(detector: Detector) -> None:
    text = msgspec.json.encode(detect_response(result(FACES), detector, request_id="id"))
    assert b"-0.0," not in text
    assert b"-0.0}" not in text
