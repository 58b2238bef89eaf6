"""Queries about jobs: one for each stored request."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.storage.cleanup_tasks import CleanupTask, add_tasks
from service.storage.engine import Database
from service.storage.images import Period, where

__all__ = [
    "JobFilter",
    "JobRecord",
    "Statistics",
    "add_job",
    "delete_old_jobs",
    "forget_result",
    "get_job",
    "get_job_document",
    "jobs_of_image",
    "jobs_page",
    "statistics",
]

_RECORD: Final = """
    SELECT j.id, j.image_id, j.key_id, j.job_type, j.method, j.strength, j.padding, j.face_count, j.inference_ms,
           j.total_ms, j.result_key, j.result_format, j.result_quality, j.result_bytes, j.created_at,
           i.filename AS filename
    FROM job j JOIN stored_image i ON i.id = j.image_id
"""


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job.

    Attributes:
        id: Its id.
        image_id: The picture.
        key_id: The API key that was used; None without one. The key may have been deleted since.
        job_type: ``detect`` or ``mask``.
        method: How it was masked; None for detect, as all below that concern masking.
        strength: See the parameter of that name.
        padding: See the parameter of that name.
        face_count: Faces found.
        inference_ms: Time of the model.
        total_ms: Time of the request once its body had arrived, without committing the job itself.
        result_key: The masked picture.
        result_format: Its format.
        result_quality: Its quality.
        result_bytes: Its size.
        created_at: When.
        filename: Of the picture.
    """

    id: UUID
    image_id: UUID
    key_id: UUID | None
    job_type: str
    method: str | None
    strength: int | None
    padding: float | None
    face_count: int
    inference_ms: float
    total_ms: float
    result_key: str | None
    result_format: str | None
    result_quality: int | None
    result_bytes: int | None
    created_at: datetime
    filename: str | None = None


class JobFilter(Period, frozen=True, kw_only=True):
    """Which jobs; None: any."""

    job_type: str | None = None
    method: str | None = None
    key_id: UUID | None = None
    min_faces: int | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """A WHERE clause and its arguments."""
        return where(
            {
                "job_type = {}": self.job_type,
                "method = {}": self.method,
                "key_id = {}": self.key_id,
                "face_count >= {}": self.min_faces,
                "created_at >= {}": self.since,
                "created_at < {}": self.until,
            }
        )


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Everything added up."""

    images: int
    jobs: int
    faces: int
    average_inference_ms: float | None
    stored_bytes: int
    by_type: dict[str, int]
    by_method: dict[str, int]


async def add_job(database: Database, job: JobRecord, document: str) -> None:
    """Insert a job with its document, inside a transaction that holds its picture."""
    columns = [name for name in JobRecord.__struct_fields__ if name != "filename"]
    await database.fetch(
        f"INSERT INTO job ({', '.join(columns)}) VALUES ({', '.join(['{}'] * len(columns))})",  # noqa: S608  # our own columns
        *(getattr(job, name) for name in columns),
    )
    await database.fetch("INSERT INTO job_document (job_id, document) VALUES ({}, {})", job.id, document)


async def get_job(database: Database, job_id: UUID) -> JobRecord | None:
    """One job, or None."""
    rows = await database.fetch(_RECORD + "WHERE j.id = {}", job_id)
    return JobRecord(**rows[0]) if rows else None


async def get_job_document(database: Database, job_id: UUID) -> str | None:
    """What only the job's own page shows, as JSON; None without such a job."""
    rows = await database.fetch("SELECT document FROM job_document WHERE job_id = {}", job_id)
    return str(rows[0]["document"]) if rows else None


async def jobs_of_image(database: Database, image_id: UUID, limit: int) -> list[JobRecord]:
    """The jobs of a picture, the newest first."""
    rows = await database.fetch(
        _RECORD + "WHERE j.image_id = {} ORDER BY j.created_at DESC, j.id DESC LIMIT {}", image_id, limit
    )
    return [JobRecord(**row) for row in rows]


async def jobs_page(
    database: Database, wanted: JobFilter, *, page: int, per_page: int
) -> tuple[list[JobRecord], int]:
    """One page of jobs, the newest first, and how many there are."""
    condition, arguments = wanted.conditions()
    total = await database.fetch(f"SELECT COUNT(*) AS total FROM job {condition}", *arguments)  # noqa: S608  # placeholders
    # The ids alone come from the index, however far the page is from the beginning.
    rows = await database.fetch(
        f"{_RECORD} WHERE j.id IN "  # noqa: S608  # placeholders
        f"(SELECT id FROM job {condition} ORDER BY created_at DESC, id DESC LIMIT {{}} OFFSET {{}}) "
        "ORDER BY j.created_at DESC, j.id DESC",
        *arguments,
        per_page,
        (page - 1) * per_page,
    )
    return [JobRecord(**row) for row in rows], int(total[0]["total"])


async def statistics(database: Database) -> Statistics:
    """Add everything up."""
    kinds = await database.fetch(
        """
        SELECT job_type, method, COUNT(*) AS jobs, SUM(face_count) AS faces, SUM(inference_ms) AS inference_ms,
               COALESCE(SUM(result_bytes), 0) AS bytes
        FROM job GROUP BY job_type, method
        """
    )
    images = await database.fetch("SELECT COUNT(*) AS images FROM stored_image")
    originals = await database.fetch(
        "SELECT COALESCE(SUM(size_bytes), 0) AS bytes FROM stored_image WHERE object_key IS NOT NULL"
    )
    by_type: dict[str, int] = {"detect": 0, "mask": 0}
    by_method: dict[str, int] = {}
    for kind in kinds:
        by_type[kind["job_type"]] = by_type.get(kind["job_type"], 0) + int(kind["jobs"])
        if kind["method"] is not None:
            by_method[kind["method"]] = by_method.get(kind["method"], 0) + int(kind["jobs"])
    jobs = sum(by_type.values())
    return Statistics(
        images=int(images[0]["images"]),
        jobs=jobs,
        faces=sum(int(kind["faces"]) for kind in kinds),
        average_inference_ms=sum(float(kind["inference_ms"]) for kind in kinds) / jobs if jobs else None,
        stored_bytes=int(originals[0]["bytes"]) + sum(int(kind["bytes"]) for kind in kinds),
        by_type=by_type,
        by_method=dict(sorted(by_method.items())),
    )


async def delete_old_jobs(database: Database, before: datetime, limit: int) -> list[CleanupTask] | None:
    """Delete some jobs from before that time.

    Returns:
        Their objects, noted as work that the caller should do at once; None when no old job is left.
    """
    async with database.transaction():
        rows = await database.fetch(
            """
            DELETE FROM job WHERE id IN (SELECT id FROM job WHERE created_at < {} ORDER BY created_at, id LIMIT {})
            RETURNING id, result_key
            """,
            before,
            limit,
        )
        tasks = await add_tasks(
            database, [row["result_key"] for row in rows if row["result_key"] is not None]
        )
    return tasks if rows else None


async def forget_result(database: Database, result_key: str) -> None:
    """The masked picture is lost; its job stays."""
    await database.fetch(
        "UPDATE job SET result_key = NULL, result_bytes = NULL WHERE result_key = {}", result_key
    )
