"""API keys in one process: form, copy in memory, counters, quotas. On both engines."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from service.access import keys as access
from service.access.key_fields import checked_name, key_response, parse_expiry
from service.access.keys import KeyRing, digest_of, new_record, seconds_to_midnight
from service.errors import (
    DatabaseUnavailable,
    Forbidden,
    NotAuthenticated,
    RequestError,
)
from service.handlers.access import credential_of
from service.storage import keys as store
from service.storage.engine import Database
from tests.databases import with_database
from tests.key_records import made

KEY = "xyl_" + "0123456789abcdef" * 3


@contextmanager
def queries_counted(database: Database) -> Iterator[list[str]]:
    """What is asked of a database."""
    asked: list[str] = []
    run, fetch = database.run, database.fetch

    async def counted_run(query: Any) -> Any:
        asked.append(str(query))
        return await run(query)

    async def counted_fetch(template: str, *arguments: Any) -> Any:
        asked.append(template)
        return await fetch(template, *arguments)

    database.run, database.fetch = counted_run, counted_fetch  # type: ignore[method-assign]  # watched, not changed
    try:
        yield asked
    finally:
        database.run, database.fetch = run, fetch  # type: ignore[method-assign]  # given back


def test_a_key_is_random_and_only_its_ends_are_kept() -> None:
    made_keys = {new_record("test")[0] for _ in range(100)}
    assert len(made_keys) == 100
    key, record = new_record("test")
    assert re.fullmatch("xyl_[0-9a-f]{48}", key)
    assert (record.key_prefix, record.key_suffix) == (key[:8], key[-4:])
    assert key_response(record).key_preview == f"{key[:8]}...{key[-4:]}"
    assert key[8:-4] not in repr(record)


def test_the_database_never_has_the_key(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        key, _ = await made(database)
        rows = await database.fetch("SELECT * FROM api_key")
        assert key[8:-4].decode() not in repr(rows)
        assert rows[0]["digest"] == digest_of(key.decode())

    with_database(database_settings, work)


def test_a_known_key_asks_nothing_of_the_database(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        key, record = await made(database)
        ring = KeyRing(database)
        await ring.refresh()
        with queries_counted(database) as asked:
            for _ in range(50):
                found = await ring.identify(key)
                assert found.id == record.id
                assert await ring.admit(found) is None
        assert asked == []

    with_database(database_settings, work)


@pytest.mark.parametrize(
    "credential",
    [
        b"",
        b"xyl_",
        b"xyl_" + b"0" * 47,
        b"xyl_" + b"0" * 49,
        b"xyl_" + b"A" * 48,
        b"XYL_" + b"0" * 48,
        b"xyl_" + b"0" * 48 + b"\n",
        b"xyl_" + "é".encode() * 24,
        "٠".encode() * 26,
        b"\xff\xfe" * 26,
        b"x" * 1_000_000,
        b"' OR 1=1 --",
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_key_is_unknown_without_a_query(credential: bytes) -> None:
    # No database at all: it would fail if it were asked.
    ring = KeyRing(None)  # type: ignore[arg-type]  # never used
    with pytest.raises(NotAuthenticated) as caught:
        asyncio.run(ring.identify(credential))
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer ")


def test_revoked_expired_deleted(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        clock = [datetime(2026, 5, 1, tzinfo=UTC)]
        ring = KeyRing(database, now=lambda: clock[0])
        key, record = await made(database, expires_at=clock[0] + timedelta(hours=1))
        other, _ = await made(database)
        await ring.refresh()
        await ring.identify(key)
        clock[0] += timedelta(hours=1)
        with pytest.raises(Forbidden, match=r"expired at 2026-05-01T01:00:00\+00:00"):
            await ring.identify(key)
        await ring.identify(other)
        clock[0] -= timedelta(hours=1)
        await store.change_key(database, record.id, {"is_active": False}, date.today())  # any day
        await ring.refresh()
        with pytest.raises(Forbidden, match="revoked"):
            await ring.identify(key)
        await store.change_key(database, record.id, {"is_active": True}, date.today())  # any day
        await ring.refresh()
        await ring.identify(key)
        assert await store.delete_key(database, record.id)
        assert not await store.delete_key(database, record.id)
        await ring.refresh()
        with pytest.raises(NotAuthenticated):
            await ring.identify(key)
        await ring.identify(other)

    with_database(database_settings, work)


def test_a_key_made_elsewhere_works_at_once(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        ring = KeyRing(database)
        await ring.refresh()
        key, record = await made(database)
        assert (await ring.identify(key)).id == record.id

    with_database(database_settings, work)


def test_unknown_keys_are_looked_up_so_many_times_a_second(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        ring = KeyRing(database)
        await ring.refresh()
        with queries_counted(database) as asked:
            for number in range(200):
                with pytest.raises(NotAuthenticated):
                    await ring.identify(b"xyl_%048x" % number)
        assert len(asked) <= 20

    with_database(database_settings, work)


def test_a_client_that_repeats_an_unknown_key_takes_no_lookups_from_others(
    database_settings: dict[str, str],
) -> None:
    async def work(database: Database) -> None:
        ring = KeyRing(database)
        await ring.refresh()
        for _ in range(100):
            with pytest.raises(NotAuthenticated):
                await ring.identify(KEY.encode())
        key, record = await made(database)
        assert (await ring.identify(key)).id == record.id

    with_database(database_settings, work)


def test_a_refresh_reads_the_keys_only_when_they_changed(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        ring = KeyRing(database)
        _, record = await made(database)
        await ring.refresh()
        with queries_counted(database) as asked:
            await ring.refresh()
        assert len(asked) == 1
        await store.change_key(database, record.id, {"name": "other"}, datetime.now(UTC).date())
        with queries_counted(database) as asked:
            await ring.refresh()
        assert len(asked) == 2

    with_database(database_settings, work)


def test_without_the_database_keys_hold_for_a_while(
    database_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(database: Database) -> None:
        key, _ = await made(database)
        ring = KeyRing(database)
        await ring.refresh()

        async def away(*_: object) -> int:
            database.reachable = False
            raise DatabaseUnavailable("away")

        monkeypatch.setattr(store, "keys_version", away)
        assert await ring.identify(key)
        assert ring.failure() is None
        with pytest.raises(DatabaseUnavailable) as caught:
            await ring.identify(KEY.encode())
        assert caught.value.headers["Retry-After"] == "1"
        assert ring.failure() is not None
        late = monotonic() + access.GRACE_SECONDS
        monkeypatch.setattr(access, "monotonic", lambda: late - 1)
        assert await ring.identify(key)
        monkeypatch.setattr(access, "monotonic", lambda: late)
        with pytest.raises(DatabaseUnavailable):
            await ring.identify(key)

    with_database(database_settings, work)


def test_only_one_of_several_first_keys_is_made(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        async def first() -> bool:
            key, record = new_record("First key")
            return await store.add_key(database, record, digest_of(key), only_first=True)

        assert sorted(await asyncio.gather(*(first() for _ in range(6)))) == [False] * 5 + [True]
        assert len(await store.keys_facts(database)) == 1

    with_database(database_settings, work)


def test_pages_hold_every_key_once(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        expected = {(await made(database))[1].id for _ in range(7)}
        found = []
        for page in (1, 2, 3, 4):
            records, total = await store.keys_page(database, date(2026, 1, 1), page=page, per_page=3)
            assert total == 7
            found.append([record.id for record in records])
        assert [len(ids) for ids in found] == [3, 3, 1, 0]
        assert {key_id for ids in found for key_id in ids} == expected
        assert await store.get_key(database, uuid4(), date(2026, 1, 1)) is None

    with_database(database_settings, work)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"x-api-key", b"a")], b"a"),
        ([(b"x-api-key", b" a\t")], b"a"),
        ([(b"x-api-key", b"")], None),
        ([(b"authorization", b"Bearer a")], b"a"),
        ([(b"authorization", b"bearer  a ")], b"a"),
        ([(b"authorization", b"Basic YTpi")], None),
        ([(b"authorization", b"Bearer")], None),
        ([(b"authorization", b"Basic YTpi"), (b"x-api-key", b"a")], b"a"),
        ([(b"x-api-key", b"a"), (b"authorization", b"Bearer a")], b"a"),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"a")], b"a"),
    ],
)
def test_where_a_credential_stands(headers: list[tuple[bytes, bytes]], expected: bytes | None) -> None:
    assert credential_of({"headers": headers}) == expected  # type: ignore[arg-type]  # the part it reads


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b"a"), (b"x-api-key", b"b")],
        [(b"x-api-key", b"a"), (b"authorization", b"Bearer b")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
    ],
)
def test_two_different_credentials_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(RequestError, match="two different API keys"):
        credential_of({"headers": headers})  # type: ignore[arg-type]  # the part it reads


def test_seconds_to_midnight() -> None:
    assert seconds_to_midnight(datetime(2026, 2, 28, 0, 0, 0, tzinfo=UTC)) == 86_400
    assert seconds_to_midnight(datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)) == 1


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb", "x" * 101, "\u202e"])
def test_wrong_names(name: str) -> None:
    with pytest.raises(RequestError, match="name="):
        checked_name(name)


@pytest.mark.parametrize(
    "text",
    ["tomorrow", "2099-01-01", "2099-01-01T00:00:00", "2020-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"],
)
def test_wrong_expiries(text: str) -> None:
    with pytest.raises(RequestError, match="expires_at="):
        parse_expiry(text)


def test_an_expiry_is_kept_in_utc() -> None:
    assert parse_expiry("2099-01-01T02:00:00.5+02:00") == datetime(2099, 1, 1, tzinfo=UTC)
