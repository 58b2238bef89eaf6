"""The admin's lists and statistics over 200,000 jobs on SQLite, as the service asks for them."""

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bench.plan import Plan
from bench.report import Row, Target, verdict
from service.settings import Settings
from service.storage import images, jobs
from service.storage.engine import Database, open_database
from service.storage.images import Period
from service.storage.jobs import JobFilter
from service.storage.migrate import migrate

__all__ = ["SUITE", "run"]

SUITE: Final = "storage"

_JOBS: Final = 200_000
_IMAGES: Final = 40_000
_KEYS: Final = 20
_LIMIT_MS: Final = 100.0
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_METHODS: Final = ("gaussian", "pixelate", "solid", "elliptical")


def run(plan: Plan) -> list[Row]:
    """Make the rows in a temporary folder and time each query; quick: a tenth of the rows."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Settings(data_dir=folder))
        if database is None:
            raise AssertionError("SQLite is the default")
        file = Path(folder) / "face-api.sqlite"
        return asyncio.run(
            _run(database, file, _JOBS // 10 if plan.quick else _JOBS, 5 if plan.quick else 15)
        )


async def _run(database: Database, file: Path, count: int, rounds: int) -> list[Row]:
    async with database:
        await migrate(database)
        with sqlite3.connect(file) as connection:
            _fill(connection, count)
        connection.close()
        rows: list[Row] = []
        for case, call in _cases(database, count).items():
            rows += await _measure(f"{case}, {count:,} jobs", call, rounds)
        return rows


def _cases(database: Database, count: int) -> dict[str, Callable[[], Awaitable[Any]]]:
    def job_page(page: int, **wanted: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: jobs.jobs_page(database, JobFilter(**wanted), page=page, per_page=20)

    def image_page(page: int) -> Callable[[], Awaitable[Any]]:
        return lambda: images.images_page(database, Period(), page=page, per_page=20)

    images_count = _IMAGES * count // _JOBS
    return {
        "stats": lambda: jobs.statistics(database),
        "jobs, first page": job_page(1),
        "jobs, last page": job_page(count // 20),
        "jobs, mask and gaussian": job_page(1, job_type="mask", method="gaussian"),
        "jobs, mask, deep page": job_page(count // 100, job_type="mask"),
        "jobs, gaussian, deep page": job_page(count // 400, method="gaussian"),
        "jobs, mask, 3 faces or more, deep page": job_page(count // 200, job_type="mask", min_faces=3),
        "jobs, one key": job_page(3, key_id=_key(3)),
        "jobs, 12 faces or more": job_page(1, min_faces=12),
        "jobs, no hits": job_page(1, method="solid", min_faces=1000),
        "jobs, one day": job_page(1, since=_START, until=_START + timedelta(days=1)),
        "images, first page": image_page(1),
        "images, last page": image_page(images_count // 20),
    }


async def _measure(case: str, call: Callable[[], Awaitable[Any]], rounds: int) -> list[Row]:
    await call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await call()
        times.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(times)
    return [
        Row(suite=SUITE, case=case, contender="limit", median_ms=_LIMIT_MS),
        verdict(SUITE, case, "SQLite", _LIMIT_MS / median, Target(1), median_ms=round(median, 3)),
    ]


def _key(number: int) -> UUID:
    return UUID(int=number + 1)


def _fill(connection: sqlite3.Connection, count: int) -> None:
    draw = random.Random(1)  # noqa: S311  # the same rows each time
    image_ids = [str(UUID(int=draw.getrandbits(128))) for _ in range(_IMAGES * count // _JOBS)]
    connection.executemany(
        "INSERT INTO stored_image VALUES (?, ?, ?, ?, 'image/jpeg', ?, 1920, 1080, ?)",
        (
            (
                image_id,
                f"{n:064x}",
                f"originals/{n}.jpg",
                f"photo {n}.jpg",
                draw.randint(10**5, 10**7),
                str(at),
            )
            for n, (image_id, at) in enumerate(zip(image_ids, _times(len(image_ids)), strict=True))
        ),
    )
    connection.executemany(
        "INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (_job(draw, image_ids, at) for at in _times(count)),
    )


def _job(draw: random.Random, image_ids: list[str], at: datetime) -> tuple[Any, ...]:
    job_id = str(UUID(int=draw.getrandbits(128)))
    image_id, key_id = draw.choice(image_ids), str(_key(draw.randrange(_KEYS)))
    faces, inference = min(int(draw.expovariate(0.3)), 50), draw.uniform(5, 50)
    if draw.random() < 0.6:
        detect = (job_id, image_id, key_id, "detect", None, None, None)
        return (*detect, faces, inference, inference * 2, None, None, None, None, str(at))
    mask = (job_id, image_id, key_id, "mask", draw.choice(_METHODS), 199, 0.15)
    result = (f"processed/{job_id}.jpg", "jpeg", 95, draw.randint(10**5, 10**7))
    return (*mask, faces, inference, inference * 2, *result, str(at))


def _times(count: int) -> Iterator[datetime]:
    """Half a year, evenly."""
    step = timedelta(days=180) / count
    return (_START + step * number for number in range(count))
