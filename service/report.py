"""What the pipeline found becomes what clients read: rounding, derived figures, versions."""

import os
import platform

import numpy as np

from service.detection.detector import Detector, FacesFound
from service.detection.runtime import runtime_version
from service.imaging.opencv import opencv_version
from service.pipeline import DetectResult, MaskResult
from service.schemas.detect import (
    BBox,
    Center,
    Detection,
    DetectResponse,
    ImageInfo,
    Landmarks,
    Point,
    Processing,
    Profiling,
    Relative,
    Size,
    Summary,
)

__all__ = ["detect_response", "milliseconds"]


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds with two digits."""
    return round(seconds * 1000, 2)


def detect_response(
    result: DetectResult, detector: Detector, *, request_id: str, masked: MaskResult | None = None
) -> DetectResponse:
    """Build the full answer.

    Args:
        result: What was found.
        detector: What found it.
        request_id: The request's UUID.
        masked: The masked picture, when there is one; fills mask_ms, encode_ms and output_bytes.
    """
    width, height = result.header.upright_width, result.header.upright_height
    detections = _detections(result.found, width, height)
    total_ms = milliseconds(result.total_seconds)
    inference_ms = milliseconds(result.found.inference_seconds)
    return DetectResponse(
        request_id=request_id,
        image_id=None,
        job_id=None,
        image=ImageInfo(width, height, result.header.channels, result.size_bytes),
        detections=detections,
        summary=_summary(detections, width * height),
        processing=Processing(
            model=detector.name,
            input_size=detector.input_size,
            confidence_threshold=result.options.confidence,
            nms_threshold=result.options.nms_threshold,
            inference_ms=inference_ms,
            total_ms=total_ms,
        ),
        profiling=Profiling(
            decode_ms=milliseconds(result.decode_seconds),
            preprocess_ms=milliseconds(result.found.preprocess_seconds),
            blob_ms=milliseconds(result.found.blob_seconds),
            inference_ms=inference_ms,
            postprocess_ms=milliseconds(result.found.postprocess_seconds),
            nms_ms=milliseconds(result.found.nms_seconds),
            mask_ms=milliseconds(masked.mask_seconds) if masked else None,
            encode_ms=milliseconds(masked.encode_seconds) if masked else None,
            storage_ms=None,
            total_ms=total_ms,
            candidates_before_nms=result.found.candidates_before_nms,
            candidates_after_nms=result.found.candidates_after_nms,
            det_scale=round(result.found.det_scale, 6),
            input_resolution=f"{width}x{height}",
            det_resolution="{}x{}".format(*result.found.tensor_size),
            input_bytes=result.size_bytes,
            output_bytes=len(masked.picture) if masked else None,
            input_pixels=width * height,
            model_name=detector.name,
            model_size_mb=detector.model_size_mb,
            onnx_runtime_version=runtime_version(),
            opencv_version=opencv_version(),
            python_version=platform.python_version(),
            worker_pid=os.getpid(),
        ),
    )


def _detections(found: FacesFound, width: int, height: int) -> list[Detection]:
    """Round once; everything derived follows from the rounded box, so that a client's own arithmetic agrees."""
    table = found.faces.astype(np.float64)
    boxes = found.boxes()
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    # All pixels in one go: for a few faces it is the number of calls that takes the time.
    pixels = np.round(np.hstack([sides, centers, table[:, 5:]]), 1) + 0.0  # turns -0.0 into 0.0
    return [
        Detection(
            index=index,
            bbox=BBox(*box),
            confidence=round(score, 4),
            landmarks=Landmarks(*map(Point, points[::2], points[1::2])) if points else None,
            size=Size(w, h),
            area=round(w * h, 2),
            center=Center(x, y),
            relative=Relative(
                round(x / width, 4), round(y / height, 4), round(w / width, 4), round(h / height, 4)
            ),
        )
        for index, (box, score, (w, h, x, y, *points)) in enumerate(
            zip(boxes.tolist(), table[:, 4].tolist(), pixels.tolist(), strict=True)
        )
    ]


def _summary(detections: list[Detection], pixels: int) -> Summary:
    scores = [detection.confidence for detection in detections]
    area = round(sum(detection.area for detection in detections), 2)
    return Summary(
        face_count=len(detections),
        avg_confidence=round(sum(scores) / len(scores), 4) if scores else None,
        min_confidence=min(scores, default=None),
        max_confidence=max(scores, default=None),
        total_face_area=area,
        face_area_ratio=round(area / pixels, 4),
    )
