"""The answer of detect."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = [
    "BBox",
    "Center",
    "DetectResponse",
    "Detection",
    "ImageInfo",
    "Landmarks",
    "Point",
    "Processing",
    "Profiling",
    "Relative",
    "Size",
    "Summary",
]

Px = Annotated[float, Meta(description="px of the upright picture, rounded to 0.1")]
Ms = Annotated[float, Meta(description="milliseconds", ge=0)]


class Point(Struct, frozen=True):
    """A point of the upright picture."""

    x: Px
    y: Px


class Landmarks(Struct, frozen=True):
    """Five facial landmarks; left and right as seen in the picture."""

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point


class BBox(Struct, frozen=True):
    """Bounding box, clipped to the picture."""

    x1: Px
    y1: Px
    x2: Px
    y2: Px


class Size(Struct, frozen=True):
    """Sides of the box."""

    width: Px
    height: Px


class Center(Struct, frozen=True):
    """Centre of the box."""

    x: Px
    y: Px


class Relative(Struct, frozen=True):
    """The box as fractions of the picture's sides."""

    x_center: float
    y_center: float
    width: float
    height: float


class Detection(Struct, frozen=True):
    """One face."""

    index: Annotated[int, Meta(description="Rank by confidence, from 0.")]
    bbox: BBox
    confidence: Annotated[float, Meta(ge=0, le=1)]
    landmarks: Annotated[Landmarks | None, Meta(description="null when the model gives none")]
    size: Size
    area: Annotated[float, Meta(description="px², rounded to 0.01")]
    center: Center
    relative: Relative


class ImageInfo(Struct, frozen=True):
    """The picture that was sent."""

    width: Annotated[int, Meta(description="px, of the upright picture")]
    height: Annotated[int, Meta(description="px, of the upright picture")]
    channels: Annotated[int, Meta(description="Channels of the source file.")]
    size_bytes: int


class Summary(Struct, frozen=True):
    """All faces together."""

    face_count: int
    avg_confidence: Annotated[float | None, Meta(description="null without a face")]
    min_confidence: Annotated[float | None, Meta(description="null without a face")]
    max_confidence: Annotated[float | None, Meta(description="null without a face")]
    total_face_area: Annotated[float, Meta(description="px², overlaps counted twice")]
    face_area_ratio: Annotated[float, Meta(description="total_face_area by the picture's area")]


class Processing(Struct, frozen=True):
    """What was done, in short."""

    model: str
    input_size: Annotated[tuple[int, int], Meta(description="The configured detector input, px.")]
    confidence_threshold: float
    nms_threshold: float
    inference_ms: Ms
    total_ms: Ms


class Profiling(Struct, frozen=True, kw_only=True):
    """What was done, in full. A step that did not take place is null."""

    decode_ms: Ms
    preprocess_ms: Annotated[float, Meta(description="milliseconds; includes blob_ms", ge=0)]
    blob_ms: Ms
    inference_ms: Ms
    postprocess_ms: Annotated[float, Meta(description="milliseconds; includes nms_ms", ge=0)]
    nms_ms: Ms
    mask_ms: Ms | None
    encode_ms: Ms | None
    storage_ms: Ms | None
    total_ms: Ms
    candidates_before_nms: int
    candidates_after_nms: int
    det_scale: Annotated[float, Meta(description="Tensor px per px of the upright picture.")]
    input_resolution: Annotated[str, Meta(description="WIDTHxHEIGHT of the upright picture.")]
    det_resolution: Annotated[str, Meta(description="WIDTHxHEIGHT of the tensor.")]
    input_bytes: int
    output_bytes: int | None
    input_pixels: int
    model_name: str
    model_size_mb: Annotated[float, Meta(description="Size of the model file, MiB.")]
    onnx_runtime_version: str
    opencv_version: str
    python_version: str
    worker_pid: int


class DetectResponse(Struct, frozen=True, kw_only=True):
    """Faces in a picture, best first."""

    request_id: str
    image_id: Annotated[str | None, Meta(description="null unless the picture was stored")]
    job_id: Annotated[str | None, Meta(description="null unless the job was stored")]
    image: ImageInfo
    detections: list[Detection]
    summary: Summary
    processing: Processing
    profiling: Profiling
