"""What the endpoints of stored pictures share: ids, times, and rows as the API shows them."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from service.errors import NotConfigured, NotFound, RequestError
from service.ranges import shorten
from service.schemas.storage import ImageParameters, JobParameters, JobResponse, StoredImageResponse
from service.storage.archive import Archive
from service.storage.images import ImageRecord, Period
from service.storage.jobs import JobFilter, JobRecord

__all__ = [
    "IMAGES_PATH",
    "JOBS_PATH",
    "extension_of",
    "image_facts",
    "job_facts",
    "job_filter",
    "job_response",
    "known_id",
    "period",
    "required",
]

IMAGES_PATH: Final = "/api/v1/admin/images"
JOBS_PATH: Final = "/api/v1/admin/jobs"


def required(archive: Archive | None) -> Archive:
    """The storage.

    Raises:
        NotConfigured: It is off.
    """
    if archive is None:
        raise NotConfigured("storage is off: set FACE_API_STORAGE_ENABLED=true")
    return archive


def known_id(text: str, what: str) -> UUID:
    """An id out of a path.

    Args:
        text: As it stands there.
        what: What it would be the id of.

    Raises:
        NotFound: It is no id, so there is nothing of that id.
    """
    try:
        uuid = UUID(text)
    except ValueError:
        uuid = None
    if uuid is None or str(uuid) != text.lower():
        raise NotFound(f"there is no {what} with the id '{shorten(text)}'")
    return uuid


def period(parameters: ImageParameters) -> Period:
    """What a list is limited to.

    Raises:
        RequestError: A time is none.
    """
    return Period(
        since=_moment("since", parameters.since),
        until=_moment("until", parameters.until),
    )


def job_filter(parameters: JobParameters) -> JobFilter:
    """What the list of jobs is limited to.

    Raises:
        RequestError: A time or an id is none.
    """
    key_id = None
    if parameters.key_id is not None:
        try:
            key_id = UUID(parameters.key_id)
        except ValueError:
            raise RequestError(
                f"key_id='{shorten(parameters.key_id)}': expected the id of an API key (a UUID)"
            ) from None
    return JobFilter(
        job_type=parameters.job_type,
        method=parameters.method,
        key_id=key_id,
        min_faces=parameters.min_faces,
        since=_moment("since", parameters.since),
        until=_moment("until", parameters.until),
    )


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == len("2026-04-06"):
            moment = moment.replace(tzinfo=UTC)
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    # In a query an unescaped + is a space.
    raise RequestError(
        f"{name}='{shorten(text)}': expected a day such as 2026-04-06, or a time with an offset such as "
        "2026-04-06T10:30:00Z (in a URL, + is written %2B)"
    )


def image_facts(archive: Archive, image: ImageRecord) -> StoredImageResponse:
    """A stored picture as the API shows it."""
    return StoredImageResponse(
        id=str(image.id),
        filename=image.filename,
        content_type=image.content_type,
        size_bytes=image.size_bytes,
        width=image.width,
        height=image.height,
        original_url=f"{IMAGES_PATH}/{image.id}/download" if image.object_key is not None else None,
        processed_url=_processed_url(archive, image.result_job_id, image.result_key),
        job_count=image.job_count,
        created_at=_iso(image.created_at),
    )


def job_response(archive: Archive, job: JobRecord) -> JobResponse:
    """A job as the API shows it."""
    return JobResponse(**job_facts(archive, job))


def job_facts(archive: Archive, job: JobRecord) -> dict[str, Any]:
    """The fields of a job as the API shows them."""
    return {
        "id": str(job.id),
        "image_id": str(job.image_id),
        "filename": job.filename,
        "job_type": job.job_type,
        "method": job.method,
        "strength": job.strength,
        "padding": job.padding,
        "face_count": job.face_count,
        "inference_ms": job.inference_ms,
        "total_ms": job.total_ms,
        "output_format": job.result_format,
        "output_quality": job.result_quality,
        "output_bytes": job.result_bytes,
        "processed_url": _processed_url(archive, job.id, job.result_key),
        "key_id": None if job.key_id is None else str(job.key_id),
        "created_at": _iso(job.created_at),
    }


def extension_of(key: str) -> str:
    """The extension of an object's key, dot included."""
    return "." + key.rpartition(".")[2]


def _processed_url(archive: Archive, job_id: UUID | None, key: str | None) -> str | None:
    if key is None or job_id is None:
        return None
    if archive.public_endpoint:
        return f"{archive.public_endpoint}/{key}"
    return f"{JOBS_PATH}/{job_id}/download"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
