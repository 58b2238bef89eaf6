"""The database: migrations, failures, and a server that goes away under load."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.errors import DatabaseUnavailable, SettingsError
from service.settings import Settings
from service.storage.engine import Database, open_database
from service.storage.migrate import migrate
from service.storage.migrations import MIGRATIONS
from service.storage.tables import TABLES, KeyState
from tests.command import face_api, start_face_api
from tests.conftest import StartServer
from tests.databases import with_database
from tests.keys import ACCESS, ADMIN, DETECT, KEYS, SMALL, facts, make
from tests.postgres import Postgres
from tests.server import Server, eventually, run_to_end


def test_every_table_is_what_the_migrations_make(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        for table in TABLES:
            # Fails if a column is missing; a column too many fails the other way round.
            await database.run(table.select())
            name = table._meta.tablename
            if database.dialect == "sqlite":
                rows = await database.fetch("SELECT name FROM pragma_table_info({})", name)
            else:
                rows = await database.fetch(
                    "SELECT column_name AS name FROM information_schema.columns WHERE table_name = {}", name
                )
            columns = {column._meta.db_column_name for column in table._meta.columns}
            assert {row["name"] for row in rows} == columns

    with_database(database_settings, work)


def test_a_second_migration_does_nothing(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        assert await migrate(database) == []
        assert len(await database.fetch("SELECT id FROM schema_migration")) == len(MIGRATIONS)

    with_database(database_settings, work)


def test_several_processes_may_migrate_at_once(database_settings: dict[str, str], tmp_path: Path) -> None:
    runs = [start_face_api(tmp_path, "keys", "list", settings=database_settings) for _ in range(4)]
    for run in runs:
        _, errors = run.communicate(timeout=60)
        assert (run.returncode, errors) == (0, "")


def test_services_that_start_at_once_make_one_key(
    start_server: StartServer, database_settings: dict[str, str]
) -> None:
    with ThreadPoolExecutor(3) as pool:
        servers = list(pool.map(lambda _: start_server(**ACCESS, **database_settings), range(3)))
    assert sum("shown only this once" in server.stdout for server in servers) == 1
    assert httpx.get(servers[0].origin + KEYS, auth=ADMIN, trust_env=False).json()["total"] == 1


def test_a_newer_database_stops_the_start(database_settings: dict[str, str], tmp_path: Path) -> None:
    async def age(database: Database) -> None:
        await database.fetch("UPDATE schema_migration SET id = '9999_future' WHERE id = '0001_access'")

    with_database(database_settings, age)
    run = face_api(tmp_path, "keys", "list", settings=database_settings)
    assert run.returncode == 1
    assert run.stderr.startswith("face-api: the database was made by a newer version")
    assert len(run.stderr.splitlines()) == 1


def test_a_transaction_is_all_or_nothing(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        async def version() -> int:
            rows = await database.run(KeyState.select(KeyState.version))
            return int(rows[0]["version"])

        async def fail() -> None:
            async with database.transaction():
                await database.fetch("UPDATE key_state SET version = 7")
                assert await version() == 7
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await version() == 0

        async def add_one() -> None:
            async with database.transaction():
                await database.fetch("UPDATE key_state SET version = version + 1")

        await asyncio.gather(*(add_one() for _ in range(30)))
        assert await version() == 30

    with_database(database_settings, work)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:PRIVATE@host/x",
        "sqlite:///x",
        "x",
        "postgresql:PRIVATE",
        "postgresql://u:PRIVATE@host:99999/x",
    ],
)
def test_urls_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="FACE_API_DATABASE_URL") as caught:
        open_database(Settings(database_url=url))
    assert "PRIVATE" not in caught.value.detail
    run = run_to_end(tmp_path, {"DATABASE_URL": url})
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "PRIVATE" not in run.stdout + run.stderr


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_schemes(postgres: Postgres, scheme: str) -> None:
    url = postgres.new_database().replace("postgresql:", f"{scheme}:")
    assert with_database({"DATABASE_URL": url}, migrate) == []


def test_none_needs_keys_off(tmp_path: Path) -> None:
    run = run_to_end(tmp_path, {"DATABASE_URL": "none", "API_KEY_ENABLED": "true"})
    assert run.returncode == 1
    assert run.stderr.startswith("face-api: FACE_API_DATABASE_URL=none: API keys need a database")


def test_a_database_that_cannot_be_reached_stops_the_start_in_one_line(tmp_path: Path) -> None:
    run = run_to_end(tmp_path, {"DATABASE_URL": "postgresql://u:PRIVATE@127.0.0.1:1/x"})
    assert run.returncode == 1
    assert run.stderr.startswith("face-api: the database cannot be reached: ")
    assert len(run.stderr.splitlines()) == 1
    assert "PRIVATE" not in run.stdout + run.stderr


def test_a_file_that_is_no_database_stops_the_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "face-api.sqlite").write_bytes(b"no database" * 1000)
    run = run_to_end(tmp_path, {})
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "database" in run.stderr


def test_the_file_is_the_owners_alone(start_server: StartServer, tmp_path: Path) -> None:
    start_server(DATA_DIR=str(tmp_path))
    assert [path.stat().st_mode & 0o077 for path in tmp_path.glob("face-api.sqlite*")].count(0) >= 1
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("face-api.sqlite*"))


class Load:
    """Clients that detect and keep the answers."""

    def __init__(self, server: Server, key: str) -> None:
        self._server = server
        self._headers = {"X-API-Key": key, "Content-Type": "image/png"}
        self._stop = threading.Event()
        self.answers: list[tuple[float, httpx.Response]] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._stop.is_set():
                started = time.monotonic()
                answer = client.post(self._server.origin + DETECT, content=SMALL, headers=self._headers)
                self.answers.append((started, answer))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def statuses(self, since: float, until: float = float("inf")) -> Counter[int]:
        """What was answered to requests of that time."""
        return Counter(answer.status_code for started, answer in self.answers if since <= started <= until)


@pytest.mark.alone
def test_a_server_that_goes_away_under_load_and_comes_back(start_server: StartServer) -> None:
    with Postgres() as own:
        server = start_server(**ACCESS, DATABASE_URL=own.new_database(), WORKERS="2")
        made, limited = make(server), make(server, daily_quota=1_000_000)
        with Load(server, made["key"]) as plain, Load(server, limited["key"]) as with_quota:
            time.sleep(1)
            started = time.monotonic()
            own.stop()
            gone = time.monotonic()
            time.sleep(7.5)
            for call in (
                httpx.get(server.origin + KEYS, auth=ADMIN, trust_env=False, timeout=30),
                httpx.post(server.origin + KEYS, json={"name": "x"}, auth=ADMIN, trust_env=False, timeout=30),
                httpx.get(server.origin + "/health", trust_env=False),
            ):
                assert call.status_code == 503, call.text
                assert "database" in call.json()["detail"]
            assert httpx.get(server.origin + "/health/live", trust_env=False).status_code == 200
            back = time.monotonic()
            own.start()
            assert eventually(
                lambda: plain.statuses(back)[200] > 0 and with_quota.statuses(back)[200] > 0, 10
            )
            time.sleep(1.5)
            recovered = time.monotonic()
            time.sleep(1)
        assert set(plain.statuses(0, started)) == {200}
        # A key without a quota goes on for a while; one with a quota cannot.
        assert set(plain.statuses(gone, gone + 3)) == {200}
        assert set(plain.statuses(gone + 6.5, back)) == {503}
        assert set(with_quota.statuses(gone, back)) == {503}
        assert set(plain.statuses(recovered)) == {200}
        assert set(with_quota.statuses(recovered)) == {200}
        for _, answer in plain.answers + with_quota.answers:
            assert answer.status_code in (200, 503)
            if answer.status_code == 503:
                assert "database cannot be reached" in answer.json()["detail"]
                assert answer.headers["Retry-After"] == "1"
        time.sleep(1.5)
        answered = plain.statuses(0)[200]
        assert facts(server, made["id"])["request_count"] == answered
        # What was reserved when the connection broke was not admitted, but may have been counted for the day.
        counted = facts(server, limited["id"])
        assert counted["request_count"] == with_quota.statuses(0)[200]
        assert 0 <= counted["used_today"] - counted["request_count"] <= 6
        assert server.stop() == 0
        unexpected = [line for line in server.log() if line["level"] in ("error", "critical")]
        assert unexpected == []


def test_without_a_connection_every_query_says_so(postgres: Postgres) -> None:
    with Postgres() as own:
        url = own.new_database()
        own.stop()

        async def work() -> None:
            database = open_database(Settings(database_url=url))
            assert database is not None
            async with database:
                for _ in range(3):
                    with pytest.raises(DatabaseUnavailable):
                        await migrate(database)
                    with pytest.raises(DatabaseUnavailable):
                        await database.run(KeyState.select())
                    assert not database.reachable
                own.start()
                assert await migrate(database) == list(MIGRATIONS)
                assert database.reachable

        asyncio.run(work())
