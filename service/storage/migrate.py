"""Brings the schema up to date, once, before anything serves.

Piccolo's own runner finds its engine through a module named in the environment, prints to standard output and is not
safe against a second one that runs at the same time; this one does the steps in one transaction under a lock.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

from service.errors import DatabaseUnavailable, StartupError
from service.storage.engine import Database
from service.storage.migrations import MIGRATIONS

__all__ = ["SCHEMA_LOCK", "migrate"]

# Any number, as long as nothing else of ours locks it.
SCHEMA_LOCK: Final = 7_326_418

_WAL_SECONDS: Final = 5.0


async def migrate(database: Database) -> list[str]:
    """Run the steps that the database lacks; several processes may do so at once.

    Returns:
        The ids of the steps that ran.

    Raises:
        DatabaseUnavailable: No connection, or no answer in time.
        StartupError: The database is of a newer version of the service.
    """
    if database.dialect == "sqlite":
        await _write_ahead_log(database)
    async with database.transaction(lock=SCHEMA_LOCK):
        await database.fetch(
            "CREATE TABLE IF NOT EXISTS schema_migration (id VARCHAR(100) PRIMARY KEY, at TIMESTAMPTZ NOT NULL)"
        )
        done = {row["id"] for row in await database.fetch("SELECT id FROM schema_migration")}
        if foreign := sorted(done - set(MIGRATIONS)):
            raise StartupError(
                f"the database was made by a newer version of the service (it has {foreign[-1]}); "
                "start that version, or another database"
            )
        missing = [step for step in MIGRATIONS if step not in done]
        for step in missing:
            for statement in MIGRATIONS[step]:
                await database.fetch(statement)
            await database.fetch(
                "INSERT INTO schema_migration (id, at) VALUES ({}, {})", step, datetime.now(UTC)
            )
    return missing


async def _write_ahead_log(database: Database) -> None:
    """Readers and one writer at once; stays in the file. SQLite does not wait here for another who does the same."""
    deadline = time.monotonic() + _WAL_SECONDS
    while True:
        try:
            await database.fetch("PRAGMA journal_mode = WAL")
        except DatabaseUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return
