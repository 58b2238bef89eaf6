"""Queries about stored pictures."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from service.storage.cleanup_tasks import CleanupTask, add_tasks
from service.storage.engine import Database

__all__ = [
    "ImageRecord",
    "NewImage",
    "Period",
    "delete_image",
    "find_image",
    "forget_original",
    "get_image",
    "images_page",
    "keep_image",
    "lock_image",
    "old_images",
    "where",
]

_RECORD: Final = """
    SELECT i.id, i.sha256, i.object_key, i.filename, i.content_type, i.size_bytes, i.width, i.height, i.created_at,
           (SELECT COUNT(*) FROM job j WHERE j.image_id = i.id) AS job_count,
           (SELECT j.id FROM job j WHERE j.image_id = i.id AND j.result_key IS NOT NULL
            ORDER BY j.created_at DESC, j.id DESC LIMIT 1) AS result_job_id,
           (SELECT j.result_key FROM job j WHERE j.image_id = i.id AND j.result_key IS NOT NULL
            ORDER BY j.created_at DESC, j.id DESC LIMIT 1) AS result_key
    FROM stored_image i
"""


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What was made from `since` on and before `until`; None: at any time."""

    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """A WHERE clause and its arguments."""
        return where({"created_at >= {}": self.since, "created_at < {}": self.until})


class NewImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to keep.

    Attributes:
        sha256: Digest of its bytes in hex.
        filename: The client's name for it, cleaned.
        content_type: Told by the bytes.
        size_bytes: Size of the file.
        width: Of the upright picture, px.
        height: Of the upright picture, px.
    """

    sha256: str
    filename: str | None
    content_type: str
    size_bytes: int
    width: int
    height: int


class ImageRecord(NewImage, frozen=True, kw_only=True):
    """A picture that is kept.

    Attributes:
        id: Its id.
        object_key: The original; None where originals are not kept.
        created_at: When it came first.
        job_count: How often it came.
        result_job_id: The newest job with a masked picture.
        result_key: That masked picture.
    """

    id: UUID
    object_key: str | None
    created_at: datetime
    job_count: int
    result_job_id: UUID | None
    result_key: str | None


async def find_image(database: Database, sha256: str) -> tuple[UUID, str | None] | None:
    """Id and object of the picture with these bytes, or None."""
    rows = await database.fetch("SELECT id, object_key FROM stored_image WHERE sha256 = {}", sha256)
    return (rows[0]["id"], rows[0]["object_key"]) if rows else None


async def keep_image(
    database: Database, image: NewImage, object_key: str | None, now: datetime
) -> tuple[UUID, str | None]:
    """Insert a picture, unless there is one of the same bytes; either way it cannot be deleted until the commit.

    Args:
        database: Where, inside a transaction.
        image: The picture.
        object_key: Its original, which has been put; None where it is not kept.
        now: When it came.

    Returns:
        Id and object of the one that there is now.
    """
    rows = await database.fetch(
        """
        INSERT INTO stored_image (id, sha256, object_key, filename, content_type, size_bytes, width, height, created_at)
        VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {})
        ON CONFLICT (sha256) DO UPDATE SET object_key = COALESCE(stored_image.object_key, EXCLUDED.object_key),
                                           filename = COALESCE(stored_image.filename, EXCLUDED.filename)
        RETURNING id, object_key
        """,
        uuid4(),
        image.sha256,
        object_key,
        image.filename,
        image.content_type,
        image.size_bytes,
        image.width,
        image.height,
        now,
    )
    # SQLite types what RETURNING gives by the column no more than an expression.
    return UUID(str(rows[0]["id"])), rows[0]["object_key"]


async def lock_image(database: Database, image_id: UUID, *, exclusive: bool = False) -> bool:
    """Whether the picture is there; inside the transaction nobody else deletes it, or with `exclusive` uses it."""
    # On SQLite the transaction itself is the lock.
    strength = "" if database.dialect == "sqlite" else " FOR UPDATE" if exclusive else " FOR KEY SHARE"
    rows = await database.fetch(f"SELECT id FROM stored_image WHERE id = {{}}{strength}", image_id)  # noqa: S608  # constant
    return bool(rows)


async def get_image(database: Database, image_id: UUID) -> ImageRecord | None:
    """One picture, or None."""
    rows = await database.fetch(_RECORD + "WHERE i.id = {}", image_id)
    return _record(rows[0]) if rows else None


async def images_page(
    database: Database, created: Period, *, page: int, per_page: int
) -> tuple[list[ImageRecord], int]:
    """One page of pictures, the newest first, and how many there are."""
    condition, arguments = created.conditions()
    total = await database.fetch(f"SELECT COUNT(*) AS total FROM stored_image {condition}", *arguments)  # noqa: S608  # placeholders
    rows = await database.fetch(
        f"{_RECORD} WHERE i.id IN "  # noqa: S608  # placeholders
        f"(SELECT id FROM stored_image {condition} ORDER BY created_at DESC, id DESC LIMIT {{}} OFFSET {{}}) "
        "ORDER BY i.created_at DESC, i.id DESC",
        *arguments,
        per_page,
        (page - 1) * per_page,
    )
    return [_record(row) for row in rows], int(total[0]["total"])


async def old_images(database: Database, before: datetime, limit: int) -> list[UUID]:
    """Pictures that did not come since `before`."""
    rows = await database.fetch(
        """
        SELECT i.id FROM stored_image i WHERE i.created_at < {}
        AND NOT EXISTS (SELECT 1 FROM job j WHERE j.image_id = i.id AND j.created_at >= {})
        ORDER BY i.created_at LIMIT {}
        """,
        before,
        before,
        limit,
    )
    return [row["id"] for row in rows]


async def delete_image(
    database: Database, image_id: UUID, *, unused_since: datetime | None = None
) -> list[CleanupTask] | None:
    """Delete a picture with its jobs.

    Args:
        database: Where.
        image_id: Which.
        unused_since: Only if it did not come since.

    Returns:
        Its objects, noted as work that the caller should do at once; None if there is no such picture.
    """
    async with database.transaction():
        # The lock comes first: a job that is committed after the objects were gathered would lose its own.
        if not await lock_image(database, image_id, exclusive=True):
            return None
        if unused_since is not None and await database.fetch(
            "SELECT 1 AS one FROM job WHERE image_id = {} AND created_at >= {} LIMIT 1",
            image_id,
            unused_since,
        ):
            return None
        rows = await database.fetch(
            """
            SELECT object_key AS object_key FROM stored_image WHERE id = {} AND object_key IS NOT NULL
            UNION ALL SELECT result_key AS object_key FROM job WHERE image_id = {} AND result_key IS NOT NULL
            """,
            image_id,
            image_id,
        )
        tasks = await add_tasks(database, [row["object_key"] for row in rows])
        await database.fetch("DELETE FROM stored_image WHERE id = {}", image_id)
    return tasks


async def forget_original(database: Database, object_key: str) -> None:
    """The original is lost; its picture and jobs stay."""
    await database.fetch("UPDATE stored_image SET object_key = NULL WHERE object_key = {}", object_key)


def where(parts: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A WHERE clause of those parts that have a value, and the values."""
    given = {part: value for part, value in parts.items() if value is not None}
    return (f"WHERE {' AND '.join(given)}" if given else ""), list(given.values())


def _record(row: dict[str, object]) -> ImageRecord:
    return msgspec.convert(row, ImageRecord)
