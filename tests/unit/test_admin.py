"""Admin access without a server: what is compared how often, lock-outs by the clock, memory that stays bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.access import passwords
from service.access.admin import AdminAccess
from service.access.credentials import prepare_credentials, same, set_password
from service.access.lockout import LOCK, MOST_FAILURES, DatabaseLockout, Lockout, MemoryLockout, duration
from service.access.passwords import check_password, hash_password, is_short, matches, new_password
from service.access.sessions import Sessions
from service.errors import (
    FaceApiError,
    NotAuthenticated,
    NotConfigured,
    RequestError,
    ServerBusy,
    TooManyRequests,
)
from service.settings import Settings
from service.storage.admin import SETTINGS, STORED, get_credential
from service.storage.audit import AuditRecord, entries_page, trim_failures
from service.storage.engine import Database
from tests.databases import with_database

HERE = "192.0.2.1"
Work = Callable[[Database], Awaitable[Any]]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time that the test has set."""
        return self.now


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that argon2 was asked about."""
    asked: list[str] = []

    def counted(password_hash: str, password: str) -> bool:
        asked.append(password)
        return matches(password_hash, password)

    monkeypatch.setattr(passwords, "matches", counted)
    return asked


async def door(database: Database | None, **settings: Any) -> AdminAccess:
    """The admin's door of one process."""
    return AdminAccess(Settings(**settings), database)


def raised(error: type[FaceApiError], work: Awaitable[Any]) -> Any:
    """Run `work`, which must fail."""

    async def run() -> FaceApiError:
        with pytest.raises(error) as info:
            await work
        return info.value

    return run()


def test_a_wrong_user_costs_what_a_wrong_password_costs(
    database_settings: dict[str, str], comparisons: list[str]
) -> None:
    async def work(database: Database) -> None:
        await set_password(database, "correct horse battery")
        access = await door(database)
        for number, (user, password) in enumerate(
            [("admin", "wrong"), ("other", "wrong"), ("other", "correct horse battery"), ("", "")]
        ):
            comparisons.clear()
            error = await raised(NotAuthenticated, access.check_basic(user, password, f"192.0.2.{number}"))
            assert len(comparisons) == 1
            assert error.detail == "wrong user name or password"
        # What no login could be is not hashed.
        comparisons.clear()
        await raised(NotAuthenticated, access.check_basic("admin", "x" * 1025, "192.0.2.9"))
        await raised(NotAuthenticated, access.check_basic("x" * 101, "x", "192.0.2.9"))
        assert comparisons == []

    with_database(database_settings, work)


def test_a_right_password_is_compared_once_in_a_while(
    database_settings: dict[str, str], comparisons: list[str]
) -> None:
    async def work(database: Database) -> None:
        await set_password(database, "correct horse battery")
        access = await door(database)
        # More at once than failures would be allowed.
        checks = [access.check_basic("admin", "correct horse battery", HERE) for _ in range(15)]
        assert await asyncio.gather(*checks) == ["admin"] * 15
        assert len(comparisons) == 1
        await set_password(database, "another one altogether")
        await raised(NotAuthenticated, access.check_basic("admin", "correct horse battery", HERE))
        assert await access.check_basic("admin", "another one altogether", HERE) == "admin"
        assert len(comparisons) == 3

    with_database(database_settings, work)


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    async def work() -> None:
        access = await door(None, admin_user="a", admin_password="secret")  # noqa: S106  # a test's
        for number in range(50):
            access._remember(str(number).encode(), "x")
        assert len(access._remembered) == 16
        assert await access.check_basic("a", "secret", HERE) == "a"

    asyncio.run(work())


def test_wrong_ones_at_once_all_count(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        await set_password(database, "correct horse battery")
        access = await door(database)
        for guesses in (["same"] * 30, [str(number) for number in range(30)]):
            results = await asyncio.gather(
                *(access.check_basic("admin", guess, HERE) for guess in guesses), return_exceptions=True
            )
            refused = sum(isinstance(result, NotAuthenticated) for result in results)
            locked = sum(isinstance(result, TooManyRequests) for result in results)
            assert (refused, locked) == (MOST_FAILURES, 30 - MOST_FAILURES)
            await raised(TooManyRequests, access.check_basic("admin", "correct horse battery", HERE))
            await access.lockout.succeeded(HERE)

    with_database(database_settings, work)


def test_a_queue_that_is_full_counts_nobody_as_failed(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        await set_password(database, "correct horse battery")
        access = await door(database)
        access._thread._waiting = 100
        error = await raised(ServerBusy, access.check_basic("admin", "wrong", HERE))
        assert error.headers["Retry-After"] == "1"
        assert not await access.lockout.check(HERE)

    with_database({"DATA_DIR": str(tmp_path)}, work)


@pytest.mark.parametrize("kind", ["memory", "database"])
def test_the_lock_ends_with_time_and_not_before(database_settings: dict[str, str], kind: str) -> None:
    async def work(database: Database) -> None:
        clock = Clock()
        lockout: Lockout = MemoryLockout(clock) if kind == "memory" else DatabaseLockout(database, clock)
        assert not await lockout.check(HERE)
        for number in range(1, MOST_FAILURES + 1):
            assert await lockout.attempt(HERE) == number
            clock.now += timedelta(seconds=1)
        clock.now -= timedelta(seconds=1)
        error = await raised(TooManyRequests, lockout.attempt(HERE))
        assert error.headers["Retry-After"] == "900"
        assert error.detail.endswith("locked for another 15 minutes")
        clock.now += LOCK - timedelta(seconds=1)
        for refused in (lockout.attempt(HERE), lockout.check(HERE)):
            error = await raised(TooManyRequests, refused)
            assert error.headers["Retry-After"] == "1"
            assert error.detail.endswith("another 1 second")
        assert not await lockout.check("192.0.2.2")
        clock.now += timedelta(seconds=1)
        assert await lockout.attempt(HERE) == 1
        assert await lockout.check(HERE)
        await lockout.succeeded(HERE)
        assert not await lockout.check(HERE)
        # One customer's addresses of version 6 count as one.
        for number in range(MOST_FAILURES):
            await lockout.attempt(f"2001:db8::{number}")
        await raised(TooManyRequests, lockout.check("2001:db8::ffff"))
        await lockout.tidy()
        await raised(TooManyRequests, lockout.check("2001:db8::ffff"))
        clock.now += timedelta(days=1)
        await lockout.tidy()
        assert not await lockout.check("2001:db8::ffff")

    with_database(database_settings, work)


def test_failures_in_memory_are_bounded() -> None:
    async def work() -> None:
        lockout = MemoryLockout()
        for number in range(11_000):
            await lockout.attempt(str(number))
        assert len(lockout._failures) == 10_000

    asyncio.run(work())


def test_sessions_end_with_time_and_with_the_password(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        clock = Clock()
        await set_password(database, "correct horse battery")
        record = await get_credential(database, STORED)
        assert record is not None
        sessions = Sessions(database, 60, clock)
        first, second = [await sessions.open(record.generation, HERE) for _ in range(2)]
        assert first != second
        rows = await database.fetch("SELECT * FROM admin_session")
        assert all(first not in str(row) and second not in str(row) for row in rows)
        assert await sessions.user(first, STORED) == "admin"
        assert await sessions.user(first, SETTINGS) is None
        assert await sessions.user(rows[0]["digest"], STORED) is None
        assert await sessions.end([first, "x", first]) == 1
        assert await sessions.user(first, STORED) is None
        clock.now += timedelta(seconds=59)
        assert await sessions.user(second, STORED) == "admin"
        clock.now += timedelta(seconds=1)
        assert await sessions.user(second, STORED) is None
        third = await sessions.open(record.generation, HERE)
        assert len(await database.fetch("SELECT * FROM admin_session")) == 1
        await set_password(database, "another one altogether")
        assert await sessions.user(third, STORED) is None
        # As if a login had compared the old password before, and written its session after the change.
        late = await sessions.open(record.generation, HERE)
        assert await sessions.user(late, STORED) is None

    with_database(database_settings, work)


def test_a_changed_setting_ends_all_sessions(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        made = await prepare_credentials(database, Settings())
        assert made.username == "admin"
        assert made.new_password is not None
        assert not made.is_short
        assert (await prepare_credentials(database, Settings())).new_password is None
        old = {"admin_user": "root", "admin_password": "first secret"}
        new = {"admin_user": "root", "admin_password": "second secret"}
        await prepare_credentials(database, Settings(**old))  # type: ignore[arg-type]  # texts all
        running = await door(database, **old)
        value = await running.log_in("root", "first secret", HERE, [])
        await prepare_credentials(database, Settings(**old))  # type: ignore[arg-type]  # texts all
        assert await running.session_user(value) == "root"
        fresh_old = await door(database, **old)
        await prepare_credentials(database, Settings(**new))  # type: ignore[arg-type]  # texts all
        assert await running.session_user(value) is None
        # A server that still runs with the old setting opens no more sessions that count.
        late = await running.log_in("root", "first secret", HERE, [])
        assert await running.session_user(late) is None
        await raised(FaceApiError, fresh_old.log_in("root", "first secret", HERE, []))
        current = await door(database, **new)
        value = await current.log_in("root", "second secret", HERE, [])
        assert await current.session_user(value) == "root"
        await prepare_credentials(database, Settings())
        assert await current.session_user(value) is None
        stored = await door(database)
        assert await stored.check_basic("admin", made.new_password, HERE) == "admin"

    with_database(database_settings, work)


def test_nobody_is_admin_where_nothing_says_so() -> None:
    async def work() -> None:
        access = await door(None)
        await raised(NotConfigured, access.check_basic("", "", HERE))
        await raised(NotConfigured, access.log_in("", "", HERE, []))

    asyncio.run(work())


def test_the_audit_keeps_what_was_done_and_bounds_what_failed(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        await set_password(database, "correct horse battery")
        access = await door(database)
        for number in range(8):
            wrong = access.log_in("correct horse battery", f"guess {number}", f"192.0.2.{number}", [])
            await raised(NotAuthenticated, wrong)
        entries, total = await entries_page(database, page=1, per_page=100)
        assert total == 9
        assert entries == sorted(entries, key=lambda entry: (entry.at, entry.id), reverse=True)
        shown = " ".join(str(entry) for entry in entries)
        assert "correct horse" not in shown
        assert "guess" not in shown
        await trim_failures(database, 3)
        entries, total = await entries_page(database, page=1, per_page=100)
        assert [entry.outcome for entry in entries] == ["failure"] * 3 + ["success"]
        assert all(isinstance(entry, AuditRecord) for entry in entries)

    with_database(database_settings, work)


@pytest.mark.parametrize(
    ("given", "expected", "result"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("", "a", False),
        ("a" * 10_000, "a", False),
        ("p\u00e4ss", "pa\u0308ss", True),
        ("\ud800", "a", False),
    ],
)
def test_texts_compared(given: str, expected: str, result: bool) -> None:
    assert same(given, expected) is result


def test_hashes() -> None:
    password_hash = hash_password("pässword \u2603")
    assert password_hash.startswith("$argon2id$")
    assert matches(password_hash, "pa\u0308ssword \u2603")
    assert not matches(password_hash, "pässword")
    assert not matches("no hash", "x")
    assert hash_password("x") != hash_password("x")


def test_made_passwords() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password) == 20 and not is_short(password) for password in made)
    assert is_short("eleven char")


@pytest.mark.parametrize("password", ["", "x" * 1025, "a\nb", "a\x00b", "a\x7f"])
def test_passwords_that_no_login_could_carry(password: str) -> None:
    with pytest.raises(RequestError):
        check_password(password)


@pytest.mark.parametrize(
    ("seconds", "words"), [(900, "15 minutes"), (61, "1 minute 1 second"), (59, "59 seconds")]
)
def test_durations(seconds: int, words: str) -> None:
    assert duration(seconds) == words
