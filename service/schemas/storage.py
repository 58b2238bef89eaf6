"""Stored pictures, jobs, statistics and the admin's trial of mask."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from service.schemas.detect import Detection, DetectResponse, Processing, Profiling, Summary
from service.schemas.pages import PageParameters, PaginatedResponse
from service.settings import MaskMethod

__all__ = [
    "CleanupPage",
    "CleanupRetryResponse",
    "CleanupTaskResponse",
    "ImageParameters",
    "JobDetailResponse",
    "JobDocument",
    "JobPage",
    "JobParameters",
    "JobResponse",
    "MaskOutput",
    "MaskResponse",
    "Masking",
    "StatsResponse",
    "StoredImageDetailResponse",
    "StoredImagePage",
    "StoredImageResponse",
]

Moment = Annotated[
    str,
    Meta(
        min_length=10,
        max_length=40,
        description="A day, or a time with an offset, ISO 8601.",
        examples=["2026-04-06T10:30:00+00:00"],
    ),
]


class ImageParameters(PageParameters, frozen=True, kw_only=True):
    """Which pictures. With `until` the pages stay what they are while pictures come in."""

    since: Moment | None = None
    until: Moment | None = None


class JobParameters(ImageParameters, frozen=True, kw_only=True):
    """Which jobs. With `until` the pages stay what they are while jobs come in."""

    job_type: Annotated[Literal["detect", "mask"], Meta(description="detect or mask.")] | None = None
    method: Annotated[MaskMethod, Meta(description="Masking method.")] | None = None
    key_id: (
        Annotated[str, Meta(min_length=36, max_length=36, description="Id of the API key that was used.")]
        | None
    ) = None
    min_faces: Annotated[int, Meta(ge=0, le=2**31 - 1, description="Least number of faces found.")] | None = (
        None
    )


class StatsResponse(Struct, frozen=True, kw_only=True):
    """Everything that is stored, added up."""

    total_images: int
    total_jobs: int
    total_faces_detected: int
    avg_inference_ms: Annotated[float | None, Meta(description="null without a job")]
    storage_used_bytes: Annotated[int, Meta(description="Originals and masked pictures.")]
    jobs_by_type: dict[str, int]
    jobs_by_method: Annotated[dict[str, int], Meta(description="Masking methods that were used.")]


class StoredImageResponse(Struct, frozen=True, kw_only=True):
    """A stored picture."""

    id: str
    filename: Annotated[
        str | None, Meta(description="The client's name for it, cleaned; null if it gave none")
    ]
    content_type: str
    size_bytes: int
    width: Annotated[int, Meta(description="px, of the upright picture")]
    height: Annotated[int, Meta(description="px, of the upright picture")]
    original_url: Annotated[
        str | None,
        Meta(description="Where the admin downloads the original; null if originals are not kept"),
    ]
    processed_url: Annotated[
        str | None, Meta(description="Where the newest masked picture is; null if there is none")
    ]
    job_count: int
    created_at: str


class JobResponse(Struct, frozen=True, kw_only=True):
    """A job. What concerns masking is null for detect."""

    id: str
    image_id: str
    filename: str | None
    job_type: str
    method: str | None
    strength: int | None
    padding: float | None
    face_count: int
    inference_ms: float
    total_ms: float
    output_format: str | None
    output_quality: int | None
    output_bytes: int | None
    processed_url: str | None
    key_id: Annotated[str | None, Meta(description="The API key that was used; it may have been deleted")]
    created_at: str


class StoredImageDetailResponse(StoredImageResponse, frozen=True, kw_only=True):
    """A stored picture with its jobs."""

    jobs: Annotated[list[JobResponse], Meta(description="The newest first, at most 1000.")]


class JobDocument(Struct, frozen=True, kw_only=True):
    """What only a job's own page shows; kept as it was answered."""

    detections: list[Detection]
    summary: Summary
    processing: Processing
    profiling: Profiling


class JobDetailResponse(JobResponse, frozen=True, kw_only=True):
    """A job with everything that was found."""

    detections: list[Detection]
    summary: Summary
    processing: Processing
    profiling: Profiling


class CleanupTaskResponse(Struct, frozen=True, kw_only=True):
    """An object that is to be deleted."""

    id: str
    object_key: str
    attempts: Annotated[int, Meta(description="How often it failed.")]
    last_error: str | None
    next_attempt_at: str
    created_at: str


class CleanupRetryResponse(Struct, frozen=True, kw_only=True):
    """What came of trying again."""

    deleted: Annotated[int, Meta(description="Files that are gone now.")]
    failed: Annotated[int, Meta(description="Files that could not be deleted this time either.")]
    last_error: Annotated[str | None, Meta(description="Why the last of those could not.")]
    remaining: Annotated[int, Meta(description="Files that are still to be deleted, these and others.")]


class StoredImagePage(PaginatedResponse[StoredImageResponse], frozen=True, kw_only=True):
    """One page of stored pictures."""


class JobPage(PaginatedResponse[JobResponse], frozen=True, kw_only=True):
    """One page of jobs."""


class CleanupPage(PaginatedResponse[CleanupTaskResponse], frozen=True, kw_only=True):
    """One page of cleanup tasks."""


class Masking(Struct, frozen=True, kw_only=True):
    """How it was masked."""

    method: str
    strength: int
    padding: float
    regions_masked: int


class MaskOutput(Struct, frozen=True, kw_only=True):
    """The masked picture."""

    format: str
    quality: int
    size_bytes: int
    image_base64: Annotated[str, Meta(description="The picture's file, base64.")]


class MaskResponse(DetectResponse, frozen=True, kw_only=True):
    """What detect answers, and the masked picture."""

    masking: Masking
    output: MaskOutput
