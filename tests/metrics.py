"""Metrics that were used, and what they show."""

from typing import Any, cast

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.imaging.header import ImageHeader
from service.metrics import Metrics
from service.pipeline import DetectResult, MaskResult

__all__ = ["DETECTED", "FOUND", "MASKED", "Model", "samples", "scope", "used", "value"]

FOUND = FacesFound(
    faces=np.zeros((3, 15), np.float32),
    candidates_before_nms=4,
    candidates_after_nms=3,
    det_scale=1.0,
    tensor_size=(640, 640),
    preprocess_seconds=0.002,
    blob_seconds=0.001,
    inference_seconds=0.02,
    postprocess_seconds=0.003,
    nms_seconds=0.001,
)
DETECTED = DetectResult(
    header=ImageHeader(format="jpeg", width=1920, height=1080, channels=3),
    size_bytes=300_000,
    options=DetectionOptions(confidence=0.5, nms_threshold=0.4),
    found=FOUND,
    decode_seconds=0.01,
    total_seconds=0.05,
)
MASKED = MaskResult(detected=DETECTED, picture=b"", mask_seconds=0.004, encode_seconds=0.005)


class Model:
    """What metrics read of a detector."""

    name, provider, input_size = "scrfd_free", "CPUExecutionProvider", (640, 640)


def scope(route: str | None = None, error: type[Exception] | None = None) -> dict[str, Any]:
    """What metrics read of a request."""
    made: dict[str, Any] = {"state": {} if error is None else {"error": error}}
    return made if route is None else made | {"path_template": route}


def used() -> Metrics:
    """Metrics of which each has been used."""
    metrics = Metrics()
    metrics.model(cast("Detector", Model()))
    metrics.started()
    metrics.finished(scope("/api/v1/mask"), "POST", 200, 0.06)
    metrics.masked("mask", MASKED)
    metrics.stored("mask", 100)
    metrics.stored("mask", None)
    return metrics


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample of an answer, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return one sample, None if it is not shown."""
    return samples(metrics.render().decode()).get((name, frozenset(labels.items())))
