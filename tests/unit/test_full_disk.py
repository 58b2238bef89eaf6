"""A disk without room is called that, whether SQLite, PostgreSQL or the operating system says so."""

import errno
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.cli.database import with_database as command_with_database
from service.errors import DatabaseFull, DatabaseUnavailable, StartupError
from service.settings import Settings
from service.storage.engine import Database
from tests.databases import database_settings, postgres, with_database

__all__ = ["database_settings", "postgres"]


def fill(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite take no page more, which it reports as a full disk."""
    engine: Any = database._engine
    connect: Callable[[], Awaitable[Any]] = engine.get_connection

    async def connect_full() -> Any:
        connection = await connect()
        await connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(engine, "get_connection", connect_full)


async def write_much(database: Database) -> None:
    async with database.transaction():
        for _ in range(50):
            await database.fetch("INSERT INTO filler VALUES ({})", "x" * 4000)


async def count(database: Database) -> int:
    (row,) = await database.fetch("SELECT count(*) AS number FROM filler")
    return int(row["number"])


def test_sqlite_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.storage.engine")

    async def work(database: Database) -> None:
        failures = []
        database.on_failure = lambda: failures.append(1)
        await database.fetch("CREATE TABLE filler (text TEXT)")
        with monkeypatch.context() as patch:
            fill(database, patch)
            for _ in range(2):
                with pytest.raises(DatabaseFull, match=r"^the disk of the database is full; try again"):
                    await write_much(database)
            assert failures
            # What is there can be read.
            assert await count(database) == 0
            assert database.reachable
        await write_much(database)
        assert await count(database) == 50

    with_database({"DATA_DIR": str(tmp_path)}, work)
    words = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert words == ["the disk of the database is full", "the disk of the database has room again"]


def test_sqlite_that_cannot_tell_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for the index of its log SQLite speaks of an I/O error."""

    async def work(database: Database) -> None:
        engine: Any = database._engine

        async def broken() -> Any:
            raise sqlite3.OperationalError("disk I/O error")

        space = os.statvfs(tmp_path)
        monkeypatch.setattr(engine, "get_connection", broken)
        with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
            await write_much(database)
        assert database.has_room()
        full = os.statvfs_result((*space[:4], 3, *space[5:]))
        monkeypatch.setattr(os, "statvfs", lambda _: full)
        assert not database.has_room()
        with pytest.raises(DatabaseFull):
            await write_much(database)

    with_database({"DATA_DIR": str(tmp_path)}, work)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        asyncpg.DiskFullError("could not extend file"),
    ],
    ids=["disk", "quota", "postgres"],
)
def test_what_else_says_so(database_settings: dict[str, str], error: Exception) -> None:
    async def fail(database: Database) -> None:
        async with database.transaction():
            await database.fetch("UPDATE key_state SET version = 7")
            raise error

    async def work(database: Database) -> None:
        with pytest.raises(DatabaseFull):
            await fail(database)
        (row,) = await database.fetch("SELECT version FROM key_state")
        assert row["version"] == 0
        assert database.reachable

    with_database(database_settings, work)


def test_a_command_says_so_in_one_line(tmp_path: Path) -> None:
    async def work(_: Database) -> None:
        raise DatabaseFull("full")

    with pytest.raises(StartupError, match=r"^the disk of the database is full: free some space"):
        command_with_database(Settings(data_dir=str(tmp_path)), work)
