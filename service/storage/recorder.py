"""Records requests: the original once for the same bytes, the result, and a job each.

An answer that carries ids is durable, so the order is: intents committed, objects put, then in one transaction the rows
in and the intents out. A process may die anywhere in between: what it leaves is known by its intents (see
`cleanup_tasks`), and rows never refer to an object that is not there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from service.errors import DatabaseUnavailable
from service.storage import cleanup_tasks, images, jobs
from service.storage.cleanup import delete_objects
from service.storage.engine import Database
from service.storage.images import NewImage
from service.storage.objects import ObjectStore, StoreUnavailable, original_key, processed_key

__all__ = ["JobFacts", "Recorder", "Recording", "Source"]

# How often the picture may be deleted under our hands before we give up.
_ATTEMPTS: Final = 4
_CLOSE_SECONDS: Final = 10.0

logger = logging.getLogger(__name__)


class Source(msgspec.Struct, frozen=True):
    """A picture that came, and the extension of its format."""

    image: NewImage
    extension: str


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be recorded of a request; the fields are those of :class:`service.storage.jobs.JobRecord`."""

    job_type: str
    face_count: int
    inference_ms: float
    total_ms: float
    key_id: UUID | None = None
    method: str | None = None
    strength: int | None = None
    padding: float | None = None
    result_format: str | None = None
    result_quality: int | None = None


class _Lost(Exception):
    """The picture that was there before has been deleted meanwhile."""


class Recorder:
    """Records the requests of one process."""

    def __init__(self, database: Database, objects: ObjectStore, *, keep_originals: bool) -> None:
        """Record into `database` and `objects`.

        Args:
            database: Where rows go.
            objects: Where pictures go.
            keep_originals: Whether originals are kept, or results alone.
        """
        self.database = database
        self.objects = objects
        self.keep_originals = keep_originals
        self._background: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def recording(
        self, data: bytes, describe: Callable[[bytes], Source], *, result_extension: str | None = None
    ) -> AsyncIterator["Recording"]:
        """Record one request: the original is on its way from the beginning, so that it costs the least time.

        Whatever ends the block before :meth:`Recording.commit` did, nothing of it stays.

        Args:
            data: The picture as it came.
            describe: Tells what it is; runs in a thread, and may refuse it with one of our errors.
            result_extension: Extension of the result, where there will be one.
        """
        recording = Recording(self, data, describe, result_extension)
        try:
            yield recording
        finally:
            self.in_background(recording.settle())

    async def aclose(self) -> None:
        """Wait for what is being tidied up, within bounds; the rest is noted as cleanup work."""
        if self._background:
            await asyncio.wait(self._background, timeout=_CLOSE_SECONDS)

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do what an answer need not wait for; the end of the process does, within bounds."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


class Recording:
    """One request that is being recorded.

    Attributes:
        job_id: The id that its job will have.
        stored_bytes: Bytes that it stored anew, once it is committed.
    """

    def __init__(
        self,
        recorder: Recorder,
        data: bytes,
        describe: Callable[[bytes], Source],
        result_extension: str | None,
    ) -> None:
        """Start with the original; use :meth:`Recorder.recording`."""
        self.job_id = uuid4()
        self.stored_bytes = 0
        self._recorder = recorder
        self._database = recorder.database
        self._data = data
        # Key by the id of its intent.
        self._intents: dict[UUID, str] = {}
        # Those of them whose object may still appear after it was deleted.
        self._doubtful: set[UUID] = set()
        self._result_key = processed_key(self.job_id, result_extension) if result_extension else None
        self._result_bytes: int | None = None
        self._original_key: str | None = None
        self._existing_id: UUID | None = None
        self._announced = asyncio.create_task(self._announce(describe))
        self._original = asyncio.create_task(self._put_original())

    async def put(self, result: bytes | None = None, content_type: str = "") -> None:
        """Make the objects durable.

        Args:
            result: The masked picture, where there is one.
            content_type: Its type.

        Raises:
            StoreUnavailable: Not possible now.
            DatabaseUnavailable: Not possible now.
        """
        await self._announced
        if result is not None and self._result_key is not None:
            await self._put(self._result_key, result, content_type)
            self._result_bytes = len(result)
        # Shielded: a write must have ended before its object can be deleted for good.
        await asyncio.shield(self._original)

    async def commit(self, job: JobFacts, document: str) -> UUID:
        """Make the rows durable; the objects are.

        Args:
            job: What is recorded.
            document: What only the job's own page shows, as JSON.

        Returns:
            The id of the picture.

        Raises:
            StoreUnavailable: Not possible now.
            DatabaseUnavailable: Not possible now.
        """
        source = await self._announced
        for _ in range(_ATTEMPTS):
            try:
                return await self._commit_rows(source, job, document)
            except _Lost:
                # Its object is being deleted; keys are new each time, so that ours is not.
                self._existing_id = None
                await self._announce_original(source)
                await self._put_original()
        raise StoreUnavailable("the picture is being deleted again and again; try again in a moment")

    async def settle(self) -> None:
        """Delete whatever was put and no row refers to. Never fails: what is left is noted as cleanup work."""
        await asyncio.gather(self._announced, self._original, return_exceptions=True)
        if not self._intents:
            return
        try:
            # Intents that a commit took out are not among them, even if we never heard of its success.
            tasks = await cleanup_tasks.claim_intents(self._database, list(self._intents))
            sure = [task for task in tasks if task.id not in self._doubtful]
            await delete_objects(self._database, self._recorder.objects, sure)
        except DatabaseUnavailable:
            pass  # The intents expire.
        except Exception:
            logger.exception("tidying up after a request failed")

    async def _announce(self, describe: Callable[[bytes], Source]) -> Source:
        source = await asyncio.to_thread(describe, self._data)
        intents: dict[UUID, str] = {}
        if self._result_key is not None:
            intents[uuid4()] = self._result_key
        if self._recorder.keep_originals:
            found = await images.find_image(self._database, source.image.sha256)
            if found is not None and found[1] is not None:
                self._existing_id = found[0]
            else:
                self._original_key = original_key(source.image.sha256, source.extension)
                intents[uuid4()] = self._original_key
        # Known before they are there: a commit that seems to fail may have succeeded.
        self._intents |= intents
        await cleanup_tasks.add_intents(self._database, intents)
        return source

    async def _announce_original(self, source: Source) -> None:
        self._original_key = original_key(source.image.sha256, source.extension)
        task_id = uuid4()
        self._intents[task_id] = self._original_key
        await cleanup_tasks.add_intents(self._database, {task_id: self._original_key})

    async def _put_original(self) -> None:
        source = await self._announced
        if self._original_key is not None:
            await self._put(self._original_key, self._data, source.image.content_type)

    async def _put(self, key: str, data: bytes, content_type: str) -> None:
        task_id = next(task_id for task_id, announced in self._intents.items() if announced == key)
        self._doubtful.add(task_id)
        await self._recorder.objects.put(key, data, content_type)
        self._doubtful.discard(task_id)

    async def _commit_rows(self, source: Source, job: JobFacts, document: str) -> UUID:
        now = datetime.now(UTC)
        async with self._database.transaction():
            image_id, used = await self._keep_image(source.image, now)
            record = jobs.JobRecord(
                id=self.job_id,
                image_id=image_id,
                result_key=self._result_key,
                result_bytes=self._result_bytes,
                created_at=now,
                **msgspec.structs.asdict(job),
            )
            await jobs.add_job(self._database, record, document)
            taken = [task_id for task_id, key in self._intents.items() if key in used]
            if not await cleanup_tasks.remove_intents(self._database, taken):
                raise StoreUnavailable("storing the picture took too long; try again in a moment")
        for task_id in taken:
            del self._intents[task_id]
        self.stored_bytes = self._result_bytes or 0
        if self._original_key is not None and self._original_key in used:
            self.stored_bytes += len(self._data)
        return image_id

    async def _keep_image(self, image: NewImage, now: datetime) -> tuple[UUID, set[str | None]]:
        """The picture's id, and which of our objects are referred to from now on."""
        if self._existing_id is not None:
            if not await images.lock_image(self._database, self._existing_id):
                raise _Lost
            return self._existing_id, {self._result_key}
        image_id, kept_key = await images.keep_image(self._database, image, self._original_key, now)
        # Of two that come at once one is kept; the other's object is tidied up.
        return image_id, {self._result_key, kept_key}
