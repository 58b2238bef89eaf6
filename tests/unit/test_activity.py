"""The figures by day, and what the console's charts and search ask the database, on both engines."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from service.errors import DatabaseUnavailable
from service.storage import activity_counter
from service.storage.activity import Activity, Series, Tally, add_tallies, read_activity
from service.storage.activity_counter import KEEP_DAYS, ActivityCounter
from service.storage.engine import Database
from service.storage.image_search import ImageSearch
from service.storage.images import NewImage, images_page, keep_image
from service.storage.key_usage import requests_by_key
from service.storage.keys import KeyCount, KeyRecord, add_counts, add_key
from tests.databases import database_settings, postgres, with_database

__all__ = ["database_settings", "postgres"]

NOON = datetime(2026, 4, 6, 12, tzinfo=UTC)


async def picture(database: Database, name: str | None, number: int) -> str:
    image = NewImage(
        sha256=f"{number:064x}", filename=name, content_type="image/png", size_bytes=1, width=1, height=1
    )
    async with database.transaction():
        image_id, _ = await keep_image(database, image, None, NOON + timedelta(minutes=number))
    return str(image_id)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        """Noon."""
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


DETECT, SOLID, PIXELATE = Series("detect", ""), Series("mask", "solid"), Series("mask", "pixelate")
TODAY = NOON.date()


def total(activity: Activity) -> int:
    return sum(tally.requests for tally in activity.days.values())


def test_answers_are_added_up_by_day_and_by_method(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        clock = Clock()
        # Two processes.
        one, two = ActivityCounter(database, clock), ActivityCounter(database, clock)
        for milliseconds in range(1, 101):
            one.count(DETECT, 200, milliseconds=milliseconds, faces=2, stored_bytes=10)
            two.count(SOLID, 200, milliseconds=1000 + milliseconds, faces=1)
        two.count(SOLID, 400, milliseconds=1.0, faces=99, stored_bytes=99)
        two.count(SOLID, 503)
        await one.flush()
        await two.flush()
        clock.now += timedelta(days=1)
        two.count(DETECT, 200, milliseconds=5.0)
        two.count(PIXELATE, 404)
        await two.flush()
        found = await one.read(TODAY)
        assert set(found.days) == {TODAY, TODAY + timedelta(days=1)}
        day = found.days[TODAY]
        assert (day.requests, day.client_errors, day.server_errors) == (202, 1, 1)
        assert (day.faces, day.stored_bytes) == (300, 1000)
        assert day.p50_ms == pytest.approx(100, rel=0.045)
        assert day.p95_ms == pytest.approx(1090, rel=0.045)
        assert set(found.series) == {DETECT, SOLID, PIXELATE}
        assert found.series[DETECT].p50_ms == pytest.approx(50, rel=0.045)
        assert found.series[DETECT].requests == 101
        assert found.series[PIXELATE] == Tally(requests=1, client_errors=1)
        assert found.series[PIXELATE].p95_ms is None

        only = await one.read(TODAY, DETECT)
        assert only.days[TODAY].requests == 100
        assert only.days[TODAY].p95_ms == pytest.approx(95, rel=0.045)
        assert sum(only.days[TODAY].latency.values()) == 100
        assert only.series == found.series
        later = await one.read(TODAY + timedelta(days=1))
        assert set(later.days) == {TODAY + timedelta(days=1)}
        assert set(later.series) == {DETECT, PIXELATE}
        assert await one.read(TODAY + timedelta(days=2)) == Activity(days={}, series={})

    with_database(database_settings, work)


def test_without_a_database_the_same_is_told_from_memory(database_settings: dict[str, str]) -> None:
    def count(counter: ActivityCounter, clock: Clock) -> None:
        for day in range(3):
            clock.now = NOON + timedelta(days=day)
            for number in range(1, 30):
                counter.count(DETECT, 200, milliseconds=number * 1.7, faces=number)
                counter.count(SOLID, 500 if number % 7 == 0 else 200, milliseconds=number * 31.0)

    async def work(database: Database) -> None:
        stored, kept = ActivityCounter(database, clock := Clock()), ActivityCounter(None, other := Clock())
        count(stored, clock)
        count(kept, other)
        for first in (TODAY, TODAY + timedelta(days=1)):
            for only in (None, SOLID, PIXELATE):
                assert await stored.read(first, only) == await kept.read(first, only)
        await kept.flush()
        assert total(await kept.read(TODAY)) == 3 * 58

    with_database(database_settings, work)


def test_nothing_is_lost_while_the_database_is_away(
    database_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(database: Database) -> None:
        counter = ActivityCounter(database, Clock())
        counter.count(DETECT, 200, milliseconds=3.0)

        async def away(*_: object) -> None:
            # One that comes while the write is under way.
            counter.count(DETECT, 200, milliseconds=4.0)
            raise DatabaseUnavailable("away")

        monkeypatch.setattr(activity_counter, "add_tallies", away)
        with pytest.raises(DatabaseUnavailable):
            await counter.read(TODAY)
        assert total(counter.unwritten(TODAY)) == 2
        monkeypatch.setattr(activity_counter, "add_tallies", add_tallies)
        found = await counter.read(TODAY)
        assert total(found) == sum(found.days[TODAY].latency.values()) == 2
        assert total(counter.unwritten(TODAY)) == 0

    with_database(database_settings, work)


def test_many_processes_lose_nothing(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        counters = [ActivityCounter(database, Clock()) for _ in range(6)]

        async def use(counter: ActivityCounter, turn: int) -> None:
            for number in range(20):
                series = (DETECT, SOLID, PIXELATE)[(number + turn) % 3]
                counter.count(series, 200, milliseconds=2.0 ** ((number * turn) % 11))
                await counter.flush()

        await asyncio.gather(*(use(counter, turn) for turn, counter in enumerate(counters)))
        found = await read_activity(database, TODAY)
        assert total(found) == sum(found.days[TODAY].latency.values()) == 120

    with_database(database_settings, work)


def test_the_last_counts_are_written_at_the_end(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        counter = ActivityCounter(database, Clock())
        async with counter.running():
            counter.count(DETECT, 200, milliseconds=1.0)
        assert total(await read_activity(database, TODAY)) == 1

    with_database(database_settings, work)


def test_old_days_are_forgotten(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        for counter in (ActivityCounter(database, clock := Clock()), ActivityCounter(None, clock)):
            clock.now = NOON
            counter.count(DETECT, 200, milliseconds=1.0)
            clock.now = NOON + timedelta(days=1)
            counter.count(DETECT, 200, milliseconds=1.0)
            await counter.flush()
            clock.now = NOON + timedelta(days=KEEP_DAYS - 1)
            await counter.tidy()
            assert total(await counter.read(TODAY)) == 2
            clock.now += timedelta(days=1)
            await counter.tidy()
            found = await counter.read(TODAY)
            assert list(found.days) == [TODAY + timedelta(days=1)]
            assert found.series[DETECT].latency.keys() == found.days[TODAY + timedelta(days=1)].latency.keys()
        rows = await database.fetch("SELECT COUNT(*) AS count FROM daily_latency")
        assert rows[0]["count"] == 1

    with_database(database_settings, work)


def test_pictures_are_found_by_a_part_of_their_name(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> list[list[str | None]]:
        for number, name in enumerate(("Holiday 100%.jpg", "holiday_1000.jpg", None, "a!b.png")):
            await picture(database, name, number)
        found = []
        for name in ("HOLIDAY", "100%", "y_1", "!", "%", "nothing"):
            images, total = await images_page(database, ImageSearch(name=name), page=1, per_page=10)
            assert total == len(images)
            found.append([image.filename for image in images])
        return found

    assert with_database(database_settings, work) == [
        ["holiday_1000.jpg", "Holiday 100%.jpg"],
        ["Holiday 100%.jpg"],
        ["holiday_1000.jpg"],
        ["a!b.png"],
        ["Holiday 100%.jpg"],
        [],
    ]


def test_use_of_keys_by_day(database_settings: dict[str, str]) -> None:
    async def work(database: Database) -> None:
        keys = []
        for number in range(2):
            record = KeyRecord(
                id=uuid4(),
                name="key",
                key_prefix="xyl_1234",
                key_suffix="5678",
                is_active=True,
                request_count=0,
                last_used_at=None,
                created_at=NOON,
                expires_at=None,
                daily_quota=None,
                used_today=0,
            )
            await add_key(database, record, f"{number:064x}")
            keys.append(record.id)
        days = {date(2026, 4, 5): 2, date(2026, 4, 6): 3, date(2026, 1, 1): 50}
        await add_counts(database, {key: KeyCount(5, NOON, dict(days)) for key in keys})
        first = date(2026, 4, 1)
        one = {date(2026, 4, 5): 2, date(2026, 4, 6): 3}
        assert await requests_by_key(database, first, [keys[0]]) == {keys[0]: one}
        assert await requests_by_key(database, first, []) == {}

    with_database(database_settings, work)
