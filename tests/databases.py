"""Databases of both kinds, each empty and a test's own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from service.settings import Settings
from service.storage.engine import Database, open_database
from service.storage.migrate import migrate
from tests.postgres import Postgres

__all__ = ["ENGINES", "database_settings", "empty_database", "postgres", "with_database"]

ENGINES = ("sqlite", "postgres")

T = TypeVar("T")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that lives as long as the session."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=ENGINES)
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The settings, without the prefix ``FACE_API_``, of an empty database; once for each engine."""
    return empty_database(request, tmp_path)


def empty_database(request: pytest.FixtureRequest, folder: Path) -> dict[str, str]:
    """The settings of an empty database of the engine that is the fixture's parameter."""
    if request.param == "sqlite":
        return {"DATA_DIR": str(folder)}
    server: Postgres = request.getfixturevalue("postgres")
    return {"DATA_DIR": str(folder), "DATABASE_URL": server.new_database()}


def with_database(settings: dict[str, str], work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` with a migrated database, in this process."""
    database = open_database(Settings(**{name.lower(): value for name, value in settings.items()}))  # type: ignore[arg-type]  # texts all
    assert database is not None

    async def run(database: Database) -> T:
        async with database:
            await migrate(database)
            return await work(database)

    return asyncio.run(run(database))
