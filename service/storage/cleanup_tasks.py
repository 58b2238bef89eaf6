"""Queries about objects that are to be deleted, and about who deletes them.

A task is either an intent or due work. An intent is committed before its object is put, and removed by the
transaction that commits the row which refers to the object: whatever happens in between, somebody knows of the object.
Whoever wants to delete an intent's object turns it into due work first, after which no row can refer to it any more.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import msgspec

from service.storage.engine import Database

__all__ = [
    "CleanupTask",
    "add_intents",
    "add_tasks",
    "claim_expired_intents",
    "claim_intents",
    "count_tasks",
    "drop_lease",
    "due_tasks",
    "fail_task",
    "finish_task",
    "get_task",
    "make_due",
    "remove_intents",
    "take_lease",
    "tasks_page",
]

# No request works this long once its body has arrived: every call to a store is bounded.
_INTENT_SECONDS: Final = 300.0
# Who adds a task tries at once; this is when the others take it for abandoned.
_HEAD_START_SECONDS: Final = 12.0
_FIRST_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 3600.0
_COLUMNS: Final = "id, object_key, attempts, due_at, created_at, last_error"


class CleanupTask(msgspec.Struct, frozen=True, kw_only=True):
    """An object to delete.

    Attributes:
        id: The task's id.
        object_key: The object.
        attempts: How often it failed.
        due_at: When it is tried next.
        created_at: Since when.
        last_error: Why it failed last.
    """

    id: UUID
    object_key: str
    attempts: int
    due_at: datetime
    created_at: datetime
    last_error: str | None


async def add_intents(database: Database, keys: Mapping[UUID, str]) -> None:
    """Announce objects by the id of their task, before they are put."""
    due = timedelta(seconds=_INTENT_SECONDS)
    await _add(database, [(task_id, key) for task_id, key in keys.items()], is_intent=True, due=due)


async def add_tasks(database: Database, keys: Collection[str]) -> list[CleanupTask]:
    """Note objects that nothing refers to any more; the caller deletes them at once if it can."""
    pairs = [(uuid4(), key) for key in keys]
    due = timedelta(seconds=_HEAD_START_SECONDS)
    return await _add(database, pairs, is_intent=False, due=due)


async def _add(
    database: Database, pairs: Sequence[tuple[UUID, str]], *, is_intent: bool, due: timedelta
) -> list[CleanupTask]:
    now = datetime.now(UTC)
    for start in range(0, len(pairs), 500):
        some = pairs[start : start + 500]
        rows = ", ".join(["({}, {}, {}, 0, {}, {}, NULL)"] * len(some))
        await database.fetch(
            "INSERT INTO cleanup_task (id, object_key, is_intent, attempts, due_at, created_at, last_error) "  # noqa: S608  # placeholders
            f"VALUES {rows}",
            *(value for task_id, key in some for value in (task_id, key, is_intent, now + due, now)),
        )
    return [
        CleanupTask(id=task_id, object_key=key, attempts=0, due_at=now + due, created_at=now, last_error=None)
        for task_id, key in pairs
    ]


async def remove_intents(database: Database, task_ids: Collection[UUID]) -> bool:
    """Remove intents inside the transaction that commits what refers to their objects.

    Returns:
        Whether all were still there; if not, the objects are being deleted and the transaction must not commit.
    """
    if not task_ids:
        return True
    rows = await database.fetch(
        f"DELETE FROM cleanup_task WHERE id IN ({_places(task_ids)}) AND is_intent RETURNING id",  # noqa: S608  # placeholders
        *task_ids,
    )
    return len(rows) == len(task_ids)


async def claim_intents(database: Database, task_ids: Collection[UUID]) -> list[CleanupTask]:
    """Turn those of the intents that are still there into due work, and return them."""
    if not task_ids:
        return []
    await database.fetch(
        f"UPDATE cleanup_task SET is_intent = {{}}, due_at = {{}} WHERE id IN ({_places(task_ids)}) AND is_intent",  # noqa: S608  # placeholders
        False,
        datetime.now(UTC) + timedelta(seconds=_HEAD_START_SECONDS),
        *task_ids,
    )
    # Asked for again, since SQLite does not type what RETURNING gives.
    rows = await database.fetch(
        f"SELECT {_COLUMNS} FROM cleanup_task WHERE id IN ({_places(task_ids)})",  # noqa: S608  # placeholders
        *task_ids,
    )
    return [CleanupTask(**row) for row in rows]


async def claim_expired_intents(database: Database) -> int:
    """Turn intents that nobody can be working on any more into due work."""
    rows = await database.fetch(
        "UPDATE cleanup_task SET is_intent = {} WHERE is_intent AND due_at <= {} RETURNING id",
        False,
        datetime.now(UTC),
    )
    return len(rows)


async def get_task(database: Database, task_id: UUID) -> CleanupTask | None:
    """One task, or None; an intent is none."""
    rows = await database.fetch(
        f"SELECT {_COLUMNS} FROM cleanup_task WHERE NOT is_intent AND id = {{}}",  # noqa: S608  # constant
        task_id,
    )
    return CleanupTask(**rows[0]) if rows else None


async def make_due(database: Database, now: datetime) -> int:
    """Make all work due, whatever pause it is in.

    Returns:
        How much there is.
    """
    rows = await database.fetch("UPDATE cleanup_task SET due_at = {} WHERE NOT is_intent RETURNING id", now)
    return len(rows)


async def due_tasks(database: Database, limit: int, now: datetime | None = None) -> list[CleanupTask]:
    """Work that is due now, or was at a moment before; the oldest first."""
    rows = await database.fetch(
        f"SELECT {_COLUMNS} FROM cleanup_task WHERE NOT is_intent AND due_at <= {{}} ORDER BY due_at, id LIMIT {{}}",  # noqa: S608  # constant
        now or datetime.now(UTC),
        limit,
    )
    return [CleanupTask(**row) for row in rows]


async def finish_task(database: Database, task_id: UUID) -> None:
    """The object is gone."""
    await database.fetch("DELETE FROM cleanup_task WHERE id = {}", task_id)


async def fail_task(database: Database, task: CleanupTask, reason: str) -> None:
    """The object could not be deleted: try later, each time after a longer pause."""
    pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(task.attempts, 20))
    # Many tasks that failed together must not come back together.
    pause *= random.uniform(0.75, 1.25)  # noqa: S311  # no secret
    await database.fetch(
        "UPDATE cleanup_task SET attempts = attempts + 1, due_at = {}, last_error = {} WHERE id = {}",
        datetime.now(UTC) + timedelta(seconds=pause),
        reason[:300],
        task.id,
    )


async def tasks_page(database: Database, *, page: int, per_page: int) -> tuple[list[CleanupTask], int]:
    """One page of the work, the oldest first, and how much there is. Uploads under way are none of it."""
    rows = await database.fetch(
        f"SELECT {_COLUMNS} FROM cleanup_task WHERE NOT is_intent ORDER BY created_at, id LIMIT {{}} OFFSET {{}}",  # noqa: S608  # constant
        per_page,
        (page - 1) * per_page,
    )
    return [CleanupTask(**row) for row in rows], (await count_tasks(database))[0]


async def count_tasks(database: Database) -> tuple[int, int]:
    """How much work there is, and how many intents."""
    rows = await database.fetch(
        "SELECT COUNT(*) AS everything, COALESCE(SUM(CASE WHEN is_intent THEN 1 ELSE 0 END), 0) AS intents "
        "FROM cleanup_task"
    )
    everything, intents = int(rows[0]["everything"]), int(rows[0]["intents"])
    return everything - intents, intents


async def take_lease(database: Database, name: str, holder: UUID, seconds: float) -> bool:
    """Take or renew a lease; False while another holds it."""
    now = datetime.now(UTC)
    rows = await database.fetch(
        """
        INSERT INTO lease (name, holder, expires_at) VALUES ({}, {}, {})
        ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, expires_at = EXCLUDED.expires_at
        WHERE lease.holder = {} OR lease.expires_at <= {}
        RETURNING holder
        """,
        name,
        holder,
        now + timedelta(seconds=seconds),
        holder,
        now,
    )
    return bool(rows)


async def drop_lease(database: Database, name: str, holder: UUID) -> None:
    """Give a lease back, if it is this holder's."""
    await database.fetch("DELETE FROM lease WHERE name = {} AND holder = {}", name, holder)


def _places(values: Collection[object]) -> str:
    return ", ".join(["{}"] * len(values))
