"""The database of one process: SQLite in the data folder or PostgreSQL, with one answer to every kind of failure."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import asyncpg
from piccolo.engine.base import Engine
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.querystring import QueryString

from service.errors import DatabaseFull, DatabaseUnavailable, SettingsError
from service.settings import Settings, variable_name
from service.storage.disk import has_room, no_room
from service.storage.tables import TABLES

__all__ = ["Database", "Row", "open_database"]

Row = dict[str, Any]

_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
_SQLITE_FILE: Final = "face-api.sqlite"
# Long enough for a busy server, short enough for a client that waits.
_CONNECT_SECONDS: Final = 3.0
_QUERY_SECONDS: Final = 5.0
# Per process. PostgreSQL allows 100 in all by default.
_MAX_CONNECTIONS: Final = 8

_FAILURES: Final = (
    OSError,
    TimeoutError,
    sqlite3.DatabaseError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
)

# Mistakes of ours, not of the database.
_MISTAKES: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.NotSupportedError,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Transaction:
    """What Piccolo looks for in its context variable: the connection that queries go to."""

    connection: Any


class _Sqlite(SQLiteEngine):
    """Says nothing when made."""

    async def check_version(self) -> None:
        """Python brings a version that is new enough."""


class _Postgres(PostgresEngine):
    """Connects when asked to, not when made, and never waits for ever."""

    async def check_version(self) -> None:
        """Leave the server alone: the migrations find out."""

    async def _run_in_pool(self, query: str, args: Any = None) -> Any:
        if self.pool is None:
            raise asyncpg.InterfaceError("the pool is closed")
        async with self.pool.acquire(timeout=_CONNECT_SECONDS) as connection:
            return await connection.fetch(query, *(args or ()))


class Database:
    """The database of one process. Piccolo binds tables to an engine, so at most one may be open at a time.

    Every failure of the driver becomes :class:`DatabaseUnavailable`; connections are made anew when the server is
    back.

    Attributes:
        dialect: ``sqlite`` or ``postgres``.
        reachable: Whether the last query got an answer.
        on_failure: Called for every query without one.
    """

    def __init__(self, engine: SQLiteEngine | PostgresEngine) -> None:
        """Use `engine`; :func:`database_from_settings` makes one."""
        self._engine = engine
        self.dialect = engine.engine_type
        self.reachable = True
        self.on_failure: Callable[[], None] | None = None
        self._full = False

    async def open(self) -> None:
        """Bind the tables and make the connection pool. Connects nothing yet."""
        for table in TABLES:
            table._meta.db = self._engine
        with self._translated():
            if isinstance(self._engine, SQLiteEngine):
                _make_private(self._engine.path)
            else:
                await self._engine.start_connection_pool(min_size=0, max_size=_MAX_CONNECTIONS)

    async def close(self) -> None:
        """Close the connections; queries after it fail."""
        if isinstance(self._engine, PostgresEngine) and self._engine.pool is not None:
            try:
                async with asyncio.timeout(_QUERY_SECONDS):
                    await self._engine.close_connection_pool()
            except TimeoutError:
                self._engine.pool.terminate()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def has_room(self) -> bool:
        """Whether the disk of SQLite's file has room; of PostgreSQL's only itself can tell."""
        if isinstance(self._engine, SQLiteEngine):
            with suppress(OSError):
                return has_room(Path(self._engine.path).parent)
        return True

    async def run(self, query: Any) -> Any:
        """Run one Piccolo query.

        Raises:
            DatabaseUnavailable: No connection, or no answer in time.
        """
        with self._translated():
            return await query.run()

    async def fetch(self, template: str, *arguments: Any) -> list[Row]:
        """Run SQL with ``{}`` for each argument and return the rows.

        Raises:
            DatabaseUnavailable: No connection, or no answer in time.
        """
        with self._translated():
            rows = await self._engine.run_querystring(QueryString(template, *arguments))
            return [dict(row) for row in rows]

    @asynccontextmanager
    async def transaction(self, *, lock: int | None = None) -> AsyncIterator[None]:
        """All queries of this task inside it take effect together, or not at all.

        Start no tasks inside: they would share the connection. On SQLite it is IMMEDIATE, so that nobody else writes.
        One inside another is a part of it.
        (Piccolo's own transactions lose their connection when the server goes away inside one.)

        Args:
            lock: On PostgreSQL, a number that only one transaction may hold; the others wait.

        Raises:
            DatabaseUnavailable: No connection, or no answer in time. Nothing took effect, unless the connection was
                lost in the middle of the commit.
            DatabaseFull: Its disk is full. Nothing took effect.
        """
        with self._translated():
            if self._engine.current_transaction.get() is not None:
                if lock is not None and isinstance(self._engine, PostgresEngine):
                    await self.fetch("SELECT pg_advisory_xact_lock({})", lock)
                yield
            elif isinstance(self._engine, PostgresEngine):
                async with self._postgres_transaction(self._engine, lock):
                    yield
            else:
                async with self._sqlite_transaction(self._engine):
                    yield
        if self._full and self._engine.current_transaction.get() is None:
            logger.info("the disk of the database has room again")
            self._full = False

    @asynccontextmanager
    async def _postgres_transaction(self, engine: PostgresEngine, lock: int | None) -> AsyncIterator[None]:
        if engine.pool is None:
            raise asyncpg.InterfaceError("the pool is closed")
        async with (
            engine.pool.acquire(timeout=_CONNECT_SECONDS) as connection,
            connection.transaction(),
            _current(engine, connection),
        ):
            if lock is not None:
                await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)
            yield

    @asynccontextmanager
    async def _sqlite_transaction(self, engine: SQLiteEngine) -> AsyncIterator[None]:
        connection = await engine.get_connection()
        try:
            await connection.execute("BEGIN IMMEDIATE")
            try:
                async with _current(engine, connection):
                    yield
            except BaseException:
                # SQLite may have rolled back by itself, where its disk is full for one.
                if connection.in_transaction:
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")
        finally:
            await connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _MISTAKES:
            raise
        except _FAILURES as error:
            if _says_full(error) or (isinstance(error, sqlite3.OperationalError) and not self.has_room()):
                raise self._no_room(error) from error
            if self.reachable:
                logger.warning("the database cannot be reached: %s", _one_line(error))
            self.reachable = False
            if self.on_failure is not None:
                self.on_failure()
            raise DatabaseUnavailable("the database cannot be reached; try again in a moment") from error
        if not self.reachable:
            logger.info("the database is back")
            self.reachable = True

    def _no_room(self, error: BaseException) -> DatabaseFull:
        if not self._full:
            logger.warning("the disk of the database is full: %s", _one_line(error))
        self._full = True
        if self.on_failure is not None:
            self.on_failure()
        return DatabaseFull("the disk of the database is full; try again when there is room")


def _says_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, asyncpg.DiskFullError) or no_room(error)


@asynccontextmanager
async def _current(engine: Engine[Any], connection: Any) -> AsyncIterator[None]:
    token = engine.current_transaction.set(_Transaction(connection))
    try:
        yield
    finally:
        engine.current_transaction.reset(token)


def _make_private(path: str) -> None:
    """It holds password hashes; SQLite gives its other files the same rights."""
    Path(path).touch(mode=0o600)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _has_valid_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def open_database(settings: Settings) -> Database | None:
    """The database that the settings name, or None if they name none. Connects nothing yet.

    Raises:
        SettingsError: FACE_API_DATABASE_URL is not a URL that we know.
    """
    url = settings.database_url
    if url == "none":
        return None
    if url is None:
        path = Path(settings.data_dir) / _SQLITE_FILE
        return Database(_Sqlite(path=str(path), timeout=_QUERY_SECONDS))
    scheme, separator, rest = url.partition("://")
    if scheme not in _SCHEMES or not separator or not _has_valid_port(f"postgresql://{rest}"):
        # The value may carry a password, so only the scheme is shown.
        shown = scheme.partition(":")[0][:20]
        raise SettingsError(
            f"{variable_name('database_url')}={shown}…: expected postgresql://user:password@host:5432/name, or none; "
            "not set means SQLite in the data folder"
        )
    return Database(
        _Postgres(
            config={
                "dsn": f"postgresql://{rest}",
                "timeout": _CONNECT_SECONDS,
                "command_timeout": _QUERY_SECONDS,
                "server_settings": {"application_name": "face-api"},
            }
        )
    )
