"""Compares rows and objects both ways, and mends.

It may run while the service works: the objects are listed first, so that each is either known by then or was put by a
request that announced it; and every suspect is looked at once more by itself.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from service.storage import cleanup_tasks
from service.storage.cleanup import delete_objects
from service.storage.engine import Database
from service.storage.images import forget_original
from service.storage.jobs import forget_result
from service.storage.objects import ObjectStore

__all__ = ["CheckReport", "check_storage", "repair_storage"]

_PREFIXES: Final = ("originals/", "processed/")
_AT_ONCE: Final = 1000


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        images: Pictures in the database.
        jobs: Jobs in the database.
        objects: Objects in the store.
        tasks: Objects that are known to be deleted yet.
        unfinished: Objects of requests that are under way or were cut off; they are deleted by themselves.
        orphans: Objects that nothing knows of.
        missing_originals: Originals that a picture refers to and that are not there.
        missing_results: Masked pictures that a job refers to and that are not there.
    """

    images: int
    jobs: int
    objects: int
    tasks: int
    unfinished: int
    orphans: list[str]
    missing_originals: list[str]
    missing_results: list[str]

    @property
    def clean(self) -> bool:
        """Whether rows and objects agree."""
        return not (self.orphans or self.missing_originals or self.missing_results)


async def check_storage(database: Database, objects: ObjectStore) -> CheckReport:
    """Compare.

    Raises:
        StoreUnavailable: The objects cannot be listed.
        DatabaseUnavailable: The rows cannot be read.
    """
    found = {key for prefix in _PREFIXES async for key in objects.iter_keys(prefix)}
    # Before the rows: what a commit takes out of the tasks in between is in the rows.
    tasks = {key async for key in _column(database, "cleanup_task", "object_key")}
    originals = {key async for key in _column(database, "stored_image", "object_key")}
    results = {key async for key in _column(database, "job", "result_key")}
    work, intents = await cleanup_tasks.count_tasks(database)
    return CheckReport(
        images=await _count(database, "stored_image"),
        jobs=await _count(database, "job"),
        objects=len(found),
        tasks=work,
        unfinished=intents,
        orphans=[
            key
            for key in sorted(found - originals - results - tasks)
            if not await _is_known(database, key) and await objects.exists(key)
        ],
        missing_originals=await _missing(database, objects, originals - found, "stored_image", "object_key"),
        missing_results=await _missing(database, objects, results - found, "job", "result_key"),
    )


async def repair_storage(database: Database, objects: ObjectStore, report: CheckReport) -> int:
    """Delete the orphans and forget what is missing: its pictures and jobs stay, without the file.

    Returns:
        How many orphans could not be deleted yet; they are tried again by the service.

    Raises:
        DatabaseUnavailable: Some of it is left.
    """
    for key in report.missing_originals:
        await forget_original(database, key)
    for key in report.missing_results:
        await forget_result(database, key)
    tasks = await cleanup_tasks.add_tasks(database, report.orphans)
    return len(await delete_objects(database, objects, tasks))


async def _missing(
    database: Database, objects: ObjectStore, suspects: set[str], table: str, column: str
) -> list[str]:
    return [
        key
        for key in sorted(suspects)
        if not await objects.exists(key) and await _refers(database, table, column, key)
    ]


async def _is_known(database: Database, key: str) -> bool:
    places = (("cleanup_task", "object_key"), ("stored_image", "object_key"), ("job", "result_key"))
    for table, column in places:
        if await _refers(database, table, column, key):
            return True
    # A delete moves it from the rows to the tasks, against our order.
    return await _refers(database, *places[0], key)


async def _refers(database: Database, table: str, column: str, key: str) -> bool:
    return bool(await database.fetch(f"SELECT 1 AS one FROM {table} WHERE {column} = {{}} LIMIT 1", key))  # noqa: S608  # our own names


async def _count(database: Database, table: str) -> int:
    rows: Sequence[dict[str, int]] = await database.fetch(f"SELECT COUNT(*) AS total FROM {table}")  # noqa: S608  # our own names
    return int(rows[0]["total"])


async def _column(database: Database, table: str, column: str) -> AsyncIterator[str]:
    """The values of an indexed column, some at a time: no answer takes longer than a query may."""
    last = ""
    while True:
        rows = await database.fetch(
            f"SELECT {column} AS value FROM {table} WHERE {column} > {{}} ORDER BY {column} LIMIT {{}}",  # noqa: S608  # our own names
            last,
            _AT_ONCE,
        )
        for row in rows:
            yield row["value"]
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1]["value"]
