"""Queries about the answers of detect and mask, day by day."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec

from service.storage.engine import Database
from service.storage.latency import percentile

__all__ = [
    "Activity",
    "Series",
    "Tallies",
    "Tally",
    "add_tallies",
    "add_up",
    "delete_before",
    "read_activity",
]

# SQLite takes 32766 values in one statement.
_ROWS_AT_ONCE: Final = 500
_LOCK: Final = 7_326_420

_ADD_COUNTS: Final = """
    INSERT INTO daily_activity
        (id, day, endpoint, method, requests, client_errors, server_errors, faces, stored_bytes)
    VALUES $rows
    ON CONFLICT (day, endpoint, method) DO UPDATE SET
        requests = daily_activity.requests + EXCLUDED.requests,
        client_errors = daily_activity.client_errors + EXCLUDED.client_errors,
        server_errors = daily_activity.server_errors + EXCLUDED.server_errors,
        faces = daily_activity.faces + EXCLUDED.faces,
        stored_bytes = daily_activity.stored_bytes + EXCLUDED.stored_bytes
"""
_ADD_LATENCY: Final = """
    INSERT INTO daily_latency (id, day, endpoint, method, bucket, requests) VALUES $rows
    ON CONFLICT (day, endpoint, method, bucket) DO UPDATE SET requests = daily_latency.requests + EXCLUDED.requests
"""


class Series(NamedTuple):
    """What is counted apart.

    Attributes:
        endpoint: ``detect`` or ``mask``.
        method: How it was masked; empty for detect, and for what was refused before that was known.
    """

    endpoint: str
    method: str


class Tally(msgspec.Struct):
    """Answers, added up.

    Attributes:
        requests: All of them.
        client_errors: With a status from 400 to 499.
        server_errors: With a status from 500 on.
        faces: Faces found, where the answer was no error.
        stored_bytes: Bytes that were stored anew.
        latency: Answers that were no errors by the bucket of their time.
    """

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    faces: int = 0
    stored_bytes: int = 0
    latency: dict[int, int] = msgspec.field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Add another one's counts."""
        self.requests += other.requests
        self.client_errors += other.client_errors
        self.server_errors += other.server_errors
        self.faces += other.faces
        self.stored_bytes += other.stored_bytes
        for bucket, requests in other.latency.items():
            self.latency[bucket] = self.latency.get(bucket, 0) + requests

    @property
    def p50_ms(self) -> float | None:
        """Half of the answers that were no errors took no longer, in ms; None without one."""
        return percentile(self.latency, 50)

    @property
    def p95_ms(self) -> float | None:
        """95 of 100 took no longer, in ms; None without one."""
        return percentile(self.latency, 95)


Tallies = Mapping[tuple[date, Series], Tally]


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Some days, added up in two ways.

    Attributes:
        days: By day (UTC), of all series or of the one that was asked for; days without any are left out.
        series: By series, over all the days; series without any are left out.
    """

    days: dict[date, Tally]
    series: dict[Series, Tally]


def add_up(tallies: Iterable[tuple[date, Series, Tally]], only: Series | None) -> Activity:
    """Add up by day and by series.

    Args:
        tallies: Of one day and one series each.
        only: The series of the days; None: all of them.
    """
    activity = Activity(days={}, series={})
    for day, series, tally in tallies:
        activity.series.setdefault(series, Tally()).add(tally)
        if only is None or series == only:
            activity.days.setdefault(day, Tally()).add(tally)
    return activity


async def read_activity(database: Database, first_day: date, only: Series | None = None) -> Activity:
    """The days from `first_day` on.

    Args:
        database: Where.
        first_day: The earliest day.
        only: The series of the days; None: all of them.
    """
    rows = await database.fetch(
        """
        SELECT day, endpoint, method, requests, client_errors, server_errors, faces, stored_bytes
        FROM daily_activity WHERE day >= {}
        """,
        first_day,
    )
    activity = add_up(((row.pop("day"), _series(row), Tally(**row)) for row in rows), only)
    condition, values = ("", []) if only is None else (" AND endpoint = {} AND method = {}", list(only))
    # The database adds up what would be many rows.
    by_day = await database.fetch(
        "SELECT day, bucket, SUM(requests) AS requests FROM daily_latency "  # noqa: S608  # placeholders
        f"WHERE day >= {{}}{condition} GROUP BY day, bucket",
        first_day,
        *values,
    )
    for row in by_day:
        activity.days.setdefault(row["day"], Tally()).latency[row["bucket"]] = int(row["requests"])
    by_series = await database.fetch(
        """
        SELECT endpoint, method, bucket, SUM(requests) AS requests FROM daily_latency
        WHERE day >= {} GROUP BY endpoint, method, bucket
        """,
        first_day,
    )
    for row in by_series:
        tally = activity.series.setdefault(_series(row), Tally())
        tally.latency[row["bucket"]] = int(row["requests"])
    return activity


async def add_tallies(database: Database, tallies: Tallies) -> None:
    """Add what was counted in memory. All of it takes effect, or nothing."""
    counts = [
        # The fields of a tally are in the order of the columns; the last one has rows of its own.
        (uuid4(), day, *series, *msgspec.structs.astuple(tally)[:-1])
        for (day, series), tally in tallies.items()
    ]
    latency = [
        (uuid4(), day, *series, bucket, requests)
        for (day, series), tally in tallies.items()
        for bucket, requests in tally.latency.items()
    ]
    # One process after the other: two that update the same rows in another order would wait for each other for ever.
    async with database.transaction(lock=_LOCK):
        await _insert(database, _ADD_COUNTS, counts)
        await _insert(database, _ADD_LATENCY, latency)


async def delete_before(database: Database, day: date) -> None:
    """Forget the days before a day."""
    async with database.transaction(lock=_LOCK):
        await database.fetch("DELETE FROM daily_activity WHERE day < {}", day)
        await database.fetch("DELETE FROM daily_latency WHERE day < {}", day)


async def _insert(database: Database, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        places = f"({', '.join(['{}'] * len(some[0]))})"
        await database.fetch(
            statement.replace("$rows", ", ".join([places] * len(some))),
            *(value for row in some for value in row),
        )


def _series(row: dict[str, Any]) -> Series:
    return Series(row.pop("endpoint"), row.pop("method"))
