"""The recorder with an object store in memory that fails when told to."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import pytest

from service.errors import CorruptImage, DatabaseUnavailable
from service.storage import cleanup_tasks, images, jobs
from service.storage.check import check_storage
from service.storage.cleanup import Cleaner
from service.storage.engine import Database
from service.storage.images import NewImage, Period
from service.storage.jobs import JobFilter
from service.storage.objects import Disposition, ObjectFacts, ObjectNotFound, StoreUnavailable
from service.storage.recorder import JobFacts, Recorder, Recording, Source
from tests.databases import database_settings, postgres, with_database

__all__ = ["database_settings", "postgres"]

FACTS = JobFacts(job_type="detect", face_count=2, inference_ms=10.0, total_ms=20.0)
MASKED = JobFacts(
    job_type="mask",
    face_count=1,
    inference_ms=5.0,
    total_ms=9.0,
    method="solid",
    strength=9,
    padding=0.1,
    result_format="png",
    result_quality=95,
)


class MemoryStore:
    """Objects in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, bytes] = {}
        self.refuse_put = False
        self.refuse_delete = False
        self.before_put: Callable[[str], Awaitable[None]] | None = None
        self.on_put: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def aclose(self) -> None:
        """Nothing."""

    async def check(self) -> None:
        """Always ready."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:  # noqa: ARG002  # the protocol's
        """Put, or refuse after a while."""
        await asyncio.sleep(0.01)
        if self.before_put is not None:
            await self.before_put(key)
        if self.refuse_put:
            raise StoreUnavailable("no")
        assert key not in self.objects
        self.objects[key] = data
        if self.on_put is not None:
            self.on_put()

    async def get(self, key: str) -> bytes:
        """Get."""
        return self.objects[key]

    async def facts(self, key: str) -> ObjectFacts:
        """Size."""
        if key not in self.objects:
            raise ObjectNotFound("no")
        return ObjectFacts(len(self.objects[key]), '"x"')

    async def open_range(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Not asked for."""
        raise NotImplementedError

    async def exists(self, key: str) -> bool:
        """Whether it is there."""
        return key in self.objects

    async def delete(self, key: str) -> None:
        """Delete, or refuse."""
        if self.refuse_delete:
            raise StoreUnavailable("the file store refused")
        self.objects.pop(key, None)

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys."""
        for key in list(self.objects):
            if key.startswith(prefix):
                yield key

    async def url(
        self,
        key: str,
        *,
        filename: str,  # noqa: ARG002  # the protocol's
        content_type: str,  # noqa: ARG002  # the protocol's
        expires: int,  # noqa: ARG002  # the protocol's
        disposition: Disposition = "attachment",  # noqa: ARG002  # the protocol's
    ) -> str:
        """No address."""
        return f"/{key}"


Work = Callable[[Database, MemoryStore, Recorder], Awaitable[Any]]
Run = Callable[..., Any]


@pytest.fixture
def run(database_settings: dict[str, str]) -> Run:
    """Run with a recorder, on both engines; in the end rows and objects must agree."""

    def run(work: Work, *, keep_originals: bool = True) -> Any:
        async def inner(database: Database) -> Any:
            store = MemoryStore()
            recorder = Recorder(database, store, keep_originals=keep_originals)
            result = await work(database, store, recorder)
            await recorder.aclose()
            report = await check_storage(database, store)
            assert report.clean, report
            return result

        return with_database(database_settings, inner)

    return run


def describe(data: bytes) -> Source:
    image = NewImage(
        sha256=hashlib.sha256(data).hexdigest(),
        filename="a.png",
        content_type="image/png",
        size_bytes=len(data),
        width=20,
        height=10,
    )
    return Source(image, "png")


async def record(recorder: Recorder, data: bytes, result: bytes | None = None) -> tuple[Any, Any]:
    extension = "png" if result is not None else None
    async with recorder.recording(data, describe, result_extension=extension) as recording:
        await recording.put(result, "image/png")
        return await recording.commit(FACTS if result is None else MASKED, "{}"), recording.job_id


async def assert_nothing(database: Database, store: MemoryStore) -> None:
    assert store.objects == {}
    assert await cleanup_tasks.count_tasks(database) == (0, 0)
    assert (await images.images_page(database, Period(), page=1, per_page=10))[1] == 0
    assert (await jobs.jobs_page(database, JobFilter(), page=1, per_page=10))[1] == 0


def test_rows_and_objects(run: Run) -> None:
    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        image_id, job_id = await record(recorder, b"one", b"masked")
        image = await images.get_image(database, image_id)
        assert image is not None
        assert image.object_key is not None
        assert image.result_key is not None
        assert image.result_job_id == job_id
        assert store.objects == {image.object_key: b"one", image.result_key: b"masked"}
        job = await jobs.get_job(database, job_id)
        assert job is not None
        assert (job.method, job.padding, job.result_bytes, job.filename) == ("solid", 0.1, 6, "a.png")
        await recorder.aclose()
        assert await cleanup_tasks.count_tasks(database) == (0, 0)

    run(work)


def test_many_of_the_same_at_once(run: Run) -> None:
    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        found = await asyncio.gather(*(record(recorder, b"same", b"x") for _ in range(12)))
        assert len({image_id for image_id, _ in found}) == 1
        assert len({job_id for _, job_id in found}) == 12
        await recorder.aclose()
        assert sum(key.startswith("originals/") for key in store.objects) == 1
        assert sum(key.startswith("processed/") for key in store.objects) == 12
        assert await cleanup_tasks.count_tasks(database) == (0, 0)

    run(work)


def test_results_alone(run: Run) -> None:
    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        image_id, _ = await record(recorder, b"one", b"masked")
        assert list(store.objects.values()) == [b"masked"]
        keeping = Recorder(database, store, keep_originals=True)
        again, _ = await record(keeping, b"one")
        await keeping.aclose()
        assert again == image_id
        image = await images.get_image(database, image_id)
        assert image is not None
        assert store.objects[image.object_key or ""] == b"one"

    run(work, keep_originals=False)


@pytest.mark.parametrize("failing", ["original", "result"])
def test_a_store_that_refuses_leaves_only_work(run: Run, failing: str) -> None:
    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        async def refuse(key: str) -> None:
            if key.startswith(failing if failing == "original" else "processed"):
                raise StoreUnavailable("no")

        store.before_put = refuse
        with pytest.raises(StoreUnavailable):
            await record(recorder, b"one", b"masked")
        await recorder.aclose()
        assert store.objects == {}
        # What failed may still appear: it is deleted later again.
        assert await cleanup_tasks.count_tasks(database) == (1, 0)

    run(work)


def test_what_ends_the_request_undoes_it(run: Run) -> None:
    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        put = asyncio.Event()
        store.on_put = put.set

        async def fail() -> None:
            async with recorder.recording(b"one", describe, result_extension="png"):
                await asyncio.wait_for(put.wait(), 20)
                raise CorruptImage("no")

        with pytest.raises(CorruptImage):
            await fail()
        await recorder.aclose()
        await assert_nothing(database, store)

    run(work)


def test_a_refused_picture_is_never_put(run: Run) -> None:
    def refuse(_: bytes) -> Source:
        raise CorruptImage("no")

    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        async def fail() -> None:
            async with recorder.recording(b"one", refuse) as recording:
                await recording.put()

        with pytest.raises(CorruptImage):
            await fail()
        await recorder.aclose()
        await assert_nothing(database, store)

    run(work)


def test_the_picture_is_deleted_meanwhile(run: Run) -> None:
    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        first, _ = await record(recorder, b"one")
        async with recorder.recording(b"one", describe) as recording:
            await recording.put()
            assert await images.delete_image(database, first) is not None
            second = await recording.commit(FACTS, "{}")
        assert second != first
        image = await images.get_image(database, second)
        assert image is not None
        assert store.objects[image.object_key or ""] == b"one"

    run(work)


def test_an_intent_that_expired_cannot_be_committed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup_tasks, "_INTENT_SECONDS", 0.0)

    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        async with recorder.recording(b"one", describe) as recording:
            await recording.put()
            assert await Cleaner(database, store, retention_days=0).round() == 1
            assert store.objects == {}
            with pytest.raises(StoreUnavailable):
                await recording.commit(FACTS, "{}")
        await recorder.aclose()
        await assert_nothing(database, store)

    run(work)


def test_a_commit_that_is_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are there, but the answer to the commit never came: nothing of them may be deleted."""

    async def lose(self: Recording, *arguments: Any) -> Any:
        await committed(self, *arguments)
        raise DatabaseUnavailable("lost")

    committed = Recording._commit_rows
    monkeypatch.setattr(Recording, "_commit_rows", lose)

    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        with pytest.raises(DatabaseUnavailable):
            await record(recorder, b"one", b"masked")
        await recorder.aclose()
        assert len(store.objects) == 2
        assert (await jobs.jobs_page(database, JobFilter(), page=1, per_page=10))[1] == 1

    run(work)


def test_deletions_that_fail_are_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup_tasks, "_HEAD_START_SECONDS", 0.0)
    monkeypatch.setattr(cleanup_tasks, "_FIRST_PAUSE_SECONDS", 100.0)

    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        image_id, _ = await record(recorder, b"one", b"masked")
        await recorder.aclose()
        store.refuse_delete = True
        assert len(await images.delete_image(database, image_id) or []) == 2
        cleaner, other = (Cleaner(database, store, retention_days=0) for _ in range(2))
        assert await cleaner.round() == 2
        # Another process has nothing to say while the first one lives.
        assert await other.round() == 0
        tasks, total = await cleanup_tasks.tasks_page(database, page=1, per_page=10)
        assert total == 2
        assert {task.last_error for task in tasks} == {"the file store refused"}
        first = [(task.due_at - task.created_at).total_seconds() for task in tasks]
        assert all(70 < pause < 130 for pause in first)
        assert first[0] != first[1]
        await database.fetch("UPDATE cleanup_task SET due_at = created_at")
        await cleaner.round()
        tasks, _ = await cleanup_tasks.tasks_page(database, page=1, per_page=10)
        assert {task.attempts for task in tasks} == {2}
        assert all((task.due_at - task.created_at).total_seconds() > 140 for task in tasks)
        store.refuse_delete = False
        await database.fetch("UPDATE cleanup_task SET due_at = created_at")
        assert await cleaner.round() == 2
        await assert_nothing(database, store)

    run(work)


def test_a_lease_passes_on(run: Run) -> None:
    from uuid import uuid4

    async def work(database: Database, store: MemoryStore, recorder: Recorder) -> None:
        one, two = uuid4(), uuid4()
        assert await cleanup_tasks.take_lease(database, "x", one, 60)
        assert await cleanup_tasks.take_lease(database, "x", one, -1)
        assert await cleanup_tasks.take_lease(database, "x", two, 60)
        assert not await cleanup_tasks.take_lease(database, "x", one, 60)

    run(work)
