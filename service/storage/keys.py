"""Queries about API keys."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from piccolo.columns import Column

from service.storage.engine import Database, Row
from service.storage.tables import ApiKey, KeyState

__all__ = [
    "KeyCount",
    "KeyFacts",
    "KeyRecord",
    "add_counts",
    "add_key",
    "change_key",
    "delete_key",
    "find_keys",
    "get_key",
    "keys_facts",
    "keys_page",
    "keys_version",
    "reserve_request",
]

# SQLite takes 32766 values in one statement.
_ROWS_AT_ONCE: Final = 1000

_ADD_TOTALS: Final = """
    UPDATE api_key
    SET request_count = request_count + v.column2,
        last_used_at = CASE WHEN last_used_at IS NULL OR last_used_at < v.column3 THEN v.column3 ELSE last_used_at END
    FROM ($rows) AS v WHERE api_key.id = v.column1
"""
_ADD_DAYS: Final = """
    INSERT INTO key_usage (id, key_id, day, requests)
    SELECT v.column1, v.column2, v.column3, v.column4 FROM ($rows) AS v
    WHERE EXISTS (SELECT 1 FROM api_key WHERE api_key.id = v.column2)
    ON CONFLICT (key_id, day) DO UPDATE SET requests = key_usage.requests + EXCLUDED.requests
"""

_COUNTS_LOCK: Final = 7_326_419

_RECORD: Final = """
    SELECT k.id, k.name, k.key_prefix, k.key_suffix, k.is_active, k.request_count, k.last_used_at, k.created_at,
           k.expires_at, k.daily_quota, COALESCE(u.requests, 0) AS used_today
    FROM api_key k LEFT JOIN key_usage u ON u.key_id = k.id AND u.day = {}
"""


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key, except the key."""

    id: UUID
    name: str
    key_prefix: str
    key_suffix: str
    is_active: bool
    request_count: int
    last_used_at: datetime | None
    created_at: datetime
    expires_at: datetime | None
    daily_quota: int | None
    used_today: int


class KeyFacts(msgspec.Struct, frozen=True):
    """What it takes to admit a request."""

    id: UUID
    digest: str
    is_active: bool
    expires_at: datetime | None
    daily_quota: int | None


class KeyCount(msgspec.Struct):
    """Requests of one key since the last flush.

    Attributes:
        requests: All of them.
        last_used_at: When the last one was admitted.
        by_day: Those that are not in the day's count yet: a reserved request already is.
    """

    requests: int
    last_used_at: datetime
    by_day: dict[date, int]


async def keys_version(database: Database) -> int:
    """A number that grows with every change of a key; 0: there has never been one."""
    rows = await database.run(KeyState.select(KeyState.version))
    return int(rows[0]["version"])


async def keys_facts(database: Database) -> list[KeyFacts]:
    """All keys, as it takes to admit requests."""
    rows = await database.run(
        ApiKey.select(ApiKey.id, ApiKey.digest, ApiKey.is_active, ApiKey.expires_at, ApiKey.daily_quota)
    )
    return [KeyFacts(**row) for row in rows]


async def keys_page(
    database: Database, today: date, *, page: int, per_page: int
) -> tuple[list[KeyRecord], int]:
    """One page of keys, the newest first, and how many keys there are."""
    total = await database.fetch("SELECT COUNT(*) AS total FROM api_key")
    rows = await database.fetch(
        _RECORD + "ORDER BY k.created_at DESC, k.id LIMIT {} OFFSET {}",
        today,
        per_page,
        (page - 1) * per_page,
    )
    return [_record(row) for row in rows], total[0]["total"]


async def get_key(database: Database, key_id: UUID, today: date) -> KeyRecord | None:
    """One key, or None."""
    rows = await database.fetch(_RECORD + "WHERE k.id = {}", today, key_id)
    return _record(rows[0]) if rows else None


async def find_keys(database: Database, name: str, today: date) -> list[KeyRecord]:
    """The keys of that name; names need not be unique."""
    rows = await database.fetch(_RECORD + "WHERE k.name = {} ORDER BY k.created_at", today, name)
    return [_record(row) for row in rows]


async def add_key(database: Database, record: KeyRecord, digest: str, *, only_first: bool = False) -> bool:
    """Insert a key.

    Args:
        database: Where.
        record: The key's facts.
        digest: SHA-256 of the key, in hex.
        only_first: Do nothing if there has ever been a key.

    Returns:
        Whether it was inserted.
    """
    async with database.transaction():
        # The update comes first: it makes a second process wait, which then sees the first one's key.
        version = await _count_change(database)
        if only_first and version > 1:
            await database.fetch("UPDATE key_state SET version = version - 1")
            return False
        values = {
            name: value for name, value in msgspec.structs.asdict(record).items() if name != "used_today"
        }
        await database.run(ApiKey.insert(ApiKey(**values, digest=digest)))
    return True


async def change_key(
    database: Database, key_id: UUID, changes: Mapping[str, Any], today: date
) -> KeyRecord | None:
    """Change columns of a key.

    Args:
        database: Where.
        key_id: Which key.
        changes: Values by the name of the column.
        today: The day of `used_today`.

    Returns:
        The key as it is now, or None if there is none.
    """
    columns: dict[Column | str, Any] = {**changes}  # type: ignore[dict-item]  # names are among what it takes
    async with database.transaction():
        if changes:
            await _count_change(database)
            await database.run(ApiKey.update(columns).where(ApiKey.id == key_id))
        return await get_key(database, key_id, today)


async def delete_key(database: Database, key_id: UUID) -> bool:
    """Delete a key and its usage; False if there is none."""
    async with database.transaction():
        await _count_change(database)
        rows = await database.fetch("DELETE FROM api_key WHERE id = {} RETURNING id", key_id)
    return bool(rows)


async def reserve_request(database: Database, key_id: UUID, day: date, quota: int) -> int | None:
    """Count one request of a day, unless the quota is used up; one statement, so exact over several processes.

    Returns:
        How many the key has used on that day, this one included; None if the quota is used up or the key is gone.
    """
    rows = await database.fetch(
        """
        INSERT INTO key_usage (id, key_id, day, requests)
        SELECT {}, id, {}, 1 FROM api_key WHERE id = {}
        ON CONFLICT (key_id, day) DO UPDATE SET requests = key_usage.requests + 1
        WHERE key_usage.requests < {}
        RETURNING requests
        """,
        uuid4(),
        day,
        key_id,
        quota,
    )
    return rows[0]["requests"] if rows else None


async def add_counts(database: Database, counts: Mapping[UUID, KeyCount]) -> None:
    """Add what was counted in memory; counts of deleted keys vanish. All of it takes effect, or nothing."""
    totals = [(key_id, count.requests, count.last_used_at) for key_id, count in counts.items()]
    days = [
        (uuid4(), key_id, day, requests)
        for key_id, count in counts.items()
        for day, requests in count.by_day.items()
    ]
    # One process after the other: two that update the same keys in another order would wait for each other for ever.
    async with database.transaction(lock=_COUNTS_LOCK):
        for start in range(0, len(totals), _ROWS_AT_ONCE):
            await _add_totals(database, totals[start : start + _ROWS_AT_ONCE])
        for start in range(0, len(days), _ROWS_AT_ONCE):
            await _add_days(database, days[start : start + _ROWS_AT_ONCE])


async def _add_totals(database: Database, totals: Sequence[tuple[UUID, int, datetime]]) -> None:
    rows = _values(database, ("uuid", "bigint", "timestamptz"), len(totals))
    await database.fetch(_ADD_TOTALS.replace("$rows", rows), *(value for total in totals for value in total))


async def _add_days(database: Database, days: Sequence[tuple[UUID, UUID, date, int]]) -> None:
    rows = _values(database, ("uuid", "uuid", "date", "bigint"), len(days))
    await database.fetch(_ADD_DAYS.replace("$rows", rows), *(value for day in days for value in day))


def _values(database: Database, types: Sequence[str], rows: int) -> str:
    # PostgreSQL takes untyped placeholders here for text; in SQLite a cast to these types would make numbers of them.
    cells = (f"CAST({{}} AS {type_})" if database.dialect == "postgres" else "{}" for type_ in types)
    row = f"({', '.join(cells)})"
    return "VALUES " + ", ".join([row] * rows)


async def _count_change(database: Database) -> int:
    rows = await database.fetch("UPDATE key_state SET version = version + 1 RETURNING version")
    return int(rows[0]["version"])


def _record(row: Row) -> KeyRecord:
    return KeyRecord(**row)
