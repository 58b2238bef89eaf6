"""How often keys were used, and their quotas. On both engines."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from service.access.keys import KeyRing
from service.errors import (
    DatabaseUnavailable,
    TooManyRequests,
)
from service.storage import keys as store
from service.storage.engine import Database
from tests.databases import with_database
from tests.key_records import made, record_of


def test_counts_of_many_flushes_and_processes_add_up(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        made_keys = [await made(database) for _ in range(3)]
        rings = [KeyRing(database) for _ in range(4)]

        async def use(ring: KeyRing) -> None:
            await ring.refresh()
            for _ in range(5):
                for key, _ in made_keys:
                    await ring.admit(await ring.identify(key))
                await ring.flush()

        await asyncio.gather(*(use(ring) for ring in rings))
        for _, record in made_keys:
            now = await record_of(database, record)
            assert (now.request_count, now.used_today) == (20, 20)
            assert now.last_used_at is not None
            assert abs(now.last_used_at - datetime.now(UTC)) < timedelta(seconds=30)

    with_database(database_settings, work)


def test_counts_of_two_days_go_to_their_days(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        clock = [datetime(2026, 5, 1, 23, 59, 59, tzinfo=UTC)]
        ring = KeyRing(database, now=lambda: clock[0])
        key, record = await made(database)
        for _ in range(2):
            await ring.refresh()
            await ring.admit(await ring.identify(key))
            clock[0] += timedelta(seconds=2)
        await ring.flush()
        for day in (date(2026, 5, 1), date(2026, 5, 2)):
            found = await store.get_key(database, record.id, day)
            assert found is not None
            assert (found.used_today, found.request_count) == (1, 2)

    with_database(database_settings, work)


def test_a_failed_flush_keeps_its_counts(
    database_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(database: Database) -> None:
        key, record = await made(database)
        ring = KeyRing(database)
        await ring.refresh()
        await ring.admit(await ring.identify(key))

        async def away(*_: object) -> None:
            raise DatabaseUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(store, "add_counts", away)
            with pytest.raises(DatabaseUnavailable):
                await ring.flush()
        await ring.admit(await ring.identify(key))
        await ring.flush()
        await ring.flush()
        assert (await record_of(database, record)).request_count == 2

    with_database(database_settings, work)


def test_counts_of_a_deleted_key_vanish(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        ring = KeyRing(database)
        gone, gone_record = await made(database)
        kept, kept_record = await made(database)
        await ring.refresh()
        for key in (gone, kept):
            await ring.admit(await ring.identify(key))
        await store.delete_key(database, gone_record.id)
        await ring.flush()
        assert (await record_of(database, kept_record)).request_count == 1
        assert len(await database.fetch("SELECT id FROM key_usage")) == 1

    with_database(database_settings, work)


def test_a_quota_is_exact_over_several_rings(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        key, record = await made(database, daily_quota=7)
        rings = [KeyRing(database) for _ in range(3)]
        for ring in rings:
            await ring.refresh()

        async def ask(ring: KeyRing) -> int | None:
            try:
                allowance = await ring.admit(await ring.identify(key))
            except TooManyRequests as refused:
                refusals.append(refused)
                return None
            assert allowance is not None
            assert allowance.limit == 7
            return allowance.remaining

        refusals: list[TooManyRequests] = []
        left = await asyncio.gather(*(ask(ring) for ring in rings for _ in range(10)))
        assert sorted(value for value in left if value is not None) == [0, 1, 2, 3, 4, 5, 6]
        assert len(refusals) == 23
        for refused in refusals:
            assert refused.headers["X-Quota-Remaining"] == "0"
            assert 1 <= int(refused.headers["Retry-After"]) <= 86_400
        for ring in rings:
            await ring.flush()
        now = await record_of(database, record)
        assert (now.request_count, now.used_today) == (7, 7)

    with_database(database_settings, work)


def test_a_quota_starts_anew_at_midnight(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        clock = [datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)]
        ring = KeyRing(database, now=lambda: clock[0])
        key, _ = await made(database, daily_quota=1)
        await ring.refresh()
        found = await ring.identify(key)
        first = await ring.admit(found)
        assert first is not None
        assert (first.remaining, first.reset) == (0, 2)
        with pytest.raises(TooManyRequests, match="1 of 1 requests"):
            await ring.admit(found)
        clock[0] += timedelta(seconds=2)
        again = await ring.admit(found)
        assert again is not None
        assert (again.remaining, again.reset) == (0, 86_400)

    with_database(database_settings, work)


def test_a_quota_set_later_sees_what_was_used(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        key, record = await made(database)
        ring = KeyRing(database)
        await ring.refresh()
        for _ in range(3):
            await ring.admit(await ring.identify(key))
        await ring.flush()
        await store.change_key(database, record.id, {"daily_quota": 3}, datetime.now(UTC).date())
        await ring.refresh()
        with pytest.raises(TooManyRequests):
            await ring.admit(await ring.identify(key))

    with_database(database_settings, work)


def test_the_last_counts_are_written_at_the_end(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        key, record = await made(database)
        ring = KeyRing(database)
        async with ring.running():
            for _ in range(5):
                await ring.admit(await ring.identify(key))
        assert (await record_of(database, record)).request_count == 5

    with_database(database_settings, work)
