"""The full answer of detect: every field of the reference, and arithmetic that a client can follow."""

import math
from typing import Any

import httpx
import pytest

from tests.faces import FACE_BOXES
from tests.pictures import encoded, scene

# The object of the reference, as types; a float may be written without a fraction.
SHAPE: dict[str, Any] = {
    "request_id": str,
    "image_id": None,
    "job_id": None,
    "image": {"width": int, "height": int, "channels": int, "size_bytes": int},
    "detections": [
        {
            "index": int,
            "bbox": dict.fromkeys(("x1", "y1", "x2", "y2"), float),
            "confidence": float,
            "landmarks": {
                name: {"x": float, "y": float}
                for name in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
            },
            "size": {"width": float, "height": float},
            "area": float,
            "center": {"x": float, "y": float},
            "relative": dict.fromkeys(("x_center", "y_center", "width", "height"), float),
        }
    ],
    "summary": {
        "face_count": int,
        "avg_confidence": float,
        "min_confidence": float,
        "max_confidence": float,
        "total_face_area": float,
        "face_area_ratio": float,
    },
    "processing": {
        "model": str,
        "input_size": [int],
        "confidence_threshold": float,
        "nms_threshold": float,
        "inference_ms": float,
        "total_ms": float,
    },
    "profiling": {
        "decode_ms": float,
        "preprocess_ms": float,
        "blob_ms": float,
        "inference_ms": float,
        "postprocess_ms": float,
        "nms_ms": float,
        "mask_ms": None,
        "encode_ms": None,
        "storage_ms": None,
        "total_ms": float,
        "candidates_before_nms": int,
        "candidates_after_nms": int,
        "det_scale": float,
        "input_resolution": str,
        "det_resolution": str,
        "input_bytes": int,
        "output_bytes": None,
        "input_pixels": int,
        "model_name": str,
        "model_size_mb": float,
        "onnx_runtime_version": str,
        "opencv_version": str,
        "python_version": str,
        "worker_pid": int,
    },
}


def detect(client: httpx.Client, picture: bytes, **parameters: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/detect", files={"image": ("photo", picture)}, params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


def check_shape(value: Any, shape: Any, path: str = "") -> None:
    """Compare keys, their order and types with the reference."""
    if isinstance(shape, dict):
        assert list(value) == list(shape), path
        for name, inner in shape.items():
            check_shape(value[name], inner, f"{path}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), path
        for item in value:
            check_shape(item, shape[0], f"{path}[]")
    elif shape is None:
        assert value is None, path
    else:
        assert type(value) in ((int, float) if shape is float else (shape,)), f"{path}={value!r}"


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def digits(value: float, count: int) -> bool:
    return math.isclose(value, round(value, count), rel_tol=0, abs_tol=1e-9)


@pytest.fixture(scope="module")
def found(client: httpx.Client, face_png: bytes) -> dict[str, Any]:
    return detect(client, face_png)


def test_every_key_of_the_reference_and_no_other(found: dict[str, Any]) -> None:
    check_shape(found, SHAPE)


def test_the_drawn_faces_are_where_they_were_drawn(found: dict[str, Any]) -> None:
    boxes = [tuple(face["bbox"].values()) for face in found["detections"]]
    assert len(boxes) == len(FACE_BOXES)
    for drawn in FACE_BOXES:
        assert max(iou(drawn, box) for box in boxes) > 0.8


def test_landmarks_lie_left_and_right_as_seen_in_the_picture(found: dict[str, Any]) -> None:
    for face in found["detections"]:
        points, box = face["landmarks"], face["bbox"]
        assert points["left_eye"]["x"] < points["nose"]["x"] < points["right_eye"]["x"]
        assert points["left_mouth"]["x"] < points["right_mouth"]["x"]
        assert points["left_eye"]["y"] < points["nose"]["y"] < points["left_mouth"]["y"]
        assert all(box["x1"] < point["x"] < box["x2"] for point in points.values())


def test_rounding(found: dict[str, Any]) -> None:
    for face in found["detections"]:
        points = [value for point in face["landmarks"].values() for value in point.values()]
        tenths = [*face["bbox"].values(), *face["size"].values(), *face["center"].values(), *points]
        assert all(digits(value, 1) for value in tenths)
        assert digits(face["area"], 2)
        assert all(digits(value, 4) for value in (face["confidence"], *face["relative"].values()))
    summary = found["summary"]
    assert digits(summary["total_face_area"], 2)
    for name in ("avg_confidence", "min_confidence", "max_confidence", "face_area_ratio"):
        assert digits(summary[name], 4)
    for name, value in [*found["profiling"].items(), *found["processing"].items()]:
        if name.endswith("_ms") and value is not None:
            assert digits(value, 2), name


def test_sizes_centres_and_fractions_follow_from_the_box(found: dict[str, Any]) -> None:
    width, height = found["image"]["width"], found["image"]["height"]
    for index, face in enumerate(found["detections"]):
        box, size, center, relative = (face[name] for name in ("bbox", "size", "center", "relative"))
        assert face["index"] == index
        assert 0 <= box["x1"] < box["x2"] <= width
        assert 0 <= box["y1"] < box["y2"] <= height
        assert size["width"] == pytest.approx(box["x2"] - box["x1"], abs=1e-6)
        assert size["height"] == pytest.approx(box["y2"] - box["y1"], abs=1e-6)
        assert face["area"] == pytest.approx(size["width"] * size["height"], abs=0.006)
        assert center["x"] == pytest.approx((box["x1"] + box["x2"]) / 2, abs=0.051)
        assert center["y"] == pytest.approx((box["y1"] + box["y2"]) / 2, abs=0.051)
        assert relative["x_center"] == pytest.approx(center["x"] / width, abs=0.0002)
        assert relative["y_center"] == pytest.approx(center["y"] / height, abs=0.0002)
        assert relative["width"] == pytest.approx(size["width"] / width, abs=0.0001)
        assert relative["height"] == pytest.approx(size["height"] / height, abs=0.0001)


def test_the_summary_follows_from_the_faces(found: dict[str, Any]) -> None:
    scores = [face["confidence"] for face in found["detections"]]
    area = sum(face["area"] for face in found["detections"])
    summary = found["summary"]
    assert summary["face_count"] == len(scores)
    assert summary["avg_confidence"] == pytest.approx(sum(scores) / len(scores), abs=0.00006)
    assert (summary["min_confidence"], summary["max_confidence"]) == (min(scores), max(scores))
    assert summary["total_face_area"] == pytest.approx(area, abs=0.006)
    assert summary["face_area_ratio"] == pytest.approx(area / found["profiling"]["input_pixels"], abs=0.0001)


def test_what_is_said_twice_agrees(found: dict[str, Any], face_png: bytes, client: httpx.Client) -> None:
    image, processing, profiling = found["image"], found["processing"], found["profiling"]
    assert image == {"width": 640, "height": 512, "channels": 3, "size_bytes": len(face_png)}
    assert profiling["input_bytes"] == len(face_png)
    assert profiling["input_resolution"] == "640x512"
    assert profiling["input_pixels"] == 640 * 512
    assert profiling["det_resolution"] == "640x512"
    assert profiling["det_scale"] == 1
    assert processing["model"] == profiling["model_name"] == client.get("/health").json()["model"]
    assert processing["inference_ms"] == profiling["inference_ms"]
    assert processing["total_ms"] == profiling["total_ms"]
    assert (processing["confidence_threshold"], processing["nms_threshold"]) == (0.5, 0.4)
    assert processing["input_size"] == [640, 640]


def test_the_steps_fit_into_the_total(found: dict[str, Any]) -> None:
    profiling = found["profiling"]
    assert profiling["decode_ms"] > 0
    assert profiling["inference_ms"] > 0
    assert profiling["blob_ms"] <= profiling["preprocess_ms"]
    assert profiling["nms_ms"] <= profiling["postprocess_ms"]
    steps = sum(profiling[f"{step}_ms"] for step in ("decode", "preprocess", "inference", "postprocess"))
    assert steps <= profiling["total_ms"] + 0.03  # each of the five is rounded
    assert profiling["candidates_before_nms"] >= profiling["candidates_after_nms"]
    assert profiling["candidates_after_nms"] == found["summary"]["face_count"]


def test_faces_are_sorted_and_max_faces_keeps_the_best(client: httpx.Client, face_png: bytes) -> None:
    every = detect(client, face_png)["detections"]
    scores = [face["confidence"] for face in every]
    assert scores == sorted(scores, reverse=True)
    for most in (1, 2, 3, 100):
        found = detect(client, face_png, max_faces=most)
        assert found["detections"] == every[:most]
        assert found["summary"]["face_count"] == len(every[:most])
        assert found["profiling"]["candidates_after_nms"] == len(every)
    assert detect(client, face_png, max_faces=0)["detections"] == every


def test_thresholds_are_used_and_reported(client: httpx.Client, face_png: bytes) -> None:
    loose = detect(client, face_png, confidence=0.02, nms_threshold=0.9)
    assert loose["processing"]["confidence_threshold"] == 0.02
    assert loose["processing"]["nms_threshold"] == 0.9
    assert loose["summary"]["face_count"] > len(FACE_BOXES)
    assert all(face["confidence"] >= 0.02 for face in loose["detections"])
    scores = [face["confidence"] for face in detect(client, face_png)["detections"]]
    middle = (scores[0] + scores[1]) / 2
    assert len(detect(client, face_png, confidence=f"{middle:.6f}")["detections"]) == 1


def test_without_a_face_the_figures_of_confidence_are_null(client: httpx.Client) -> None:
    found = detect(client, encoded(scene(200, 100), "PNG"), confidence=1)
    assert found["detections"] == []
    assert found["summary"] == {
        "face_count": 0,
        "avg_confidence": None,
        "min_confidence": None,
        "max_confidence": None,
        "total_face_area": 0,
        "face_area_ratio": 0,
    }
    assert found["profiling"]["det_resolution"] == "640x320"
    assert found["profiling"]["det_scale"] == 3.2


def test_answers_of_the_same_request_are_the_same(client: httpx.Client, face_png: bytes) -> None:
    first, second = (detect(client, face_png) for _ in range(2))
    assert first["detections"] == second["detections"]
    assert first["request_id"] != second["request_id"]


@pytest.mark.parametrize(("width", "height"), [(10, 10), (10, 2000), (2000, 10), (11, 999), (641, 639)])
def test_every_shape_of_picture_is_taken(client: httpx.Client, width: int, height: int) -> None:
    found = detect(client, encoded(scene(width, height), "PNG"), confidence=0.01)
    assert (found["image"]["width"], found["image"]["height"]) == (width, height)
    for face in found["detections"]:
        box = face["bbox"]
        assert 0 <= box["x1"] < box["x2"] <= width
        assert 0 <= box["y1"] < box["y2"] <= height
        assert face["area"] > 0
