"""Deletes objects that nothing refers to any more: at once where it can be, else again and again."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

import msgspec

from service.errors import DatabaseUnavailable
from service.storage import cleanup_tasks as store
from service.storage.cleanup_tasks import CleanupTask
from service.storage.engine import Database
from service.storage.images import delete_image, old_images
from service.storage.jobs import delete_old_jobs
from service.storage.objects import ObjectNotFound, ObjectStore, StoreUnavailable

__all__ = ["Cleaner", "Retry", "delete_objects", "retry_due", "retry_task"]

_LEASE: Final = "cleanup"
# Longer than a deletion takes, however the store stalls.
_LEASE_SECONDS: Final = 30.0
_TASKS_AT_ONCE: Final = 200
# Few, so that cleaning never fills the store's connections.
_DELETIONS_AT_ONCE: Final = 4
_PAUSE_SECONDS: Final = 2.0
_RETENTION_SECONDS: Final = 60.0
_OLD_AT_ONCE: Final = 100

logger = logging.getLogger(__name__)


async def delete_objects(database: Database, objects: ObjectStore, tasks: Sequence[CleanupTask]) -> list[str]:
    """Delete the objects of tasks; what fails is noted, to be tried again later.

    Returns:
        Why, for each that failed.

    Raises:
        DatabaseUnavailable: The tasks stay as they were; their objects may be gone.
    """
    failures: list[str] = []
    for start in range(0, len(tasks), _DELETIONS_AT_ONCE):
        some = tasks[start : start + _DELETIONS_AT_ONCE]
        results = await asyncio.gather(*(_delete(objects, task) for task in some))
        for task, reason in zip(some, results, strict=True):
            if reason is None:
                await store.finish_task(database, task.id)
            else:
                failures.append(reason)
                await store.fail_task(database, task, reason)
    return failures


async def _delete(objects: ObjectStore, task: CleanupTask) -> str | None:
    try:
        await objects.delete(task.object_key)
    except ObjectNotFound:
        # Nothing of that name is a file; what cannot be found need not be deleted.
        return None
    except StoreUnavailable as error:
        return error.detail
    return None


class Retry(msgspec.Struct):
    """What came of trying again at once.

    Attributes:
        deleted: Objects that are gone now.
        failed: Objects that are not; the cleaner tries them again after a pause.
        reason: Why the last of those failed.
    """

    deleted: int = 0
    failed: int = 0
    reason: str | None = None

    def add(self, tried: int, failures: Sequence[str]) -> None:
        """Count some more."""
        self.deleted += tried - len(failures)
        self.failed += len(failures)
        self.reason = failures[-1] if failures else self.reason


async def retry_task(database: Database, objects: ObjectStore, task: CleanupTask, retry: Retry) -> None:
    """Try one task now, whoever cleans up.

    Raises:
        DatabaseUnavailable: The task stays as it was; its object may be gone.
    """
    retry.add(1, await delete_objects(database, objects, [task]))


async def retry_due(
    database: Database, objects: ObjectStore, due_at: datetime, retry: Retry, seconds: float
) -> None:
    """Try the tasks that were due at a moment, whoever cleans up; what there is no time for is left to the cleaner.

    Args:
        database: Where the tasks are.
        objects: Where the objects are.
        due_at: The moment. A task that fails is due later, so none is tried twice.
        retry: Where it is counted, along the way.
        seconds: Begin no deletion after so long.

    Raises:
        DatabaseUnavailable: Some of it is left.
    """
    end = monotonic() + seconds
    while monotonic() < end and (tasks := await store.due_tasks(database, _DELETIONS_AT_ONCE, due_at)):
        retry.add(len(tasks), await delete_objects(database, objects, tasks))


class Cleaner:
    """Works off the tasks and the retention in the background; of all processes the one that has the lease does."""

    def __init__(self, database: Database, objects: ObjectStore, *, retention_days: int) -> None:
        """Clean up; `retention_days` of 0 keeps pictures for ever."""
        self._database = database
        self._objects = objects
        self._retention = timedelta(days=retention_days) if retention_days else None
        self._retention_at = 0.0
        self._holder: UUID = uuid4()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the end."""
        task = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(DatabaseUnavailable):
                await store.drop_lease(self._database, _LEASE, self._holder)

    async def round(self) -> int:
        """Do what is due now, if it is this process's turn.

        Returns:
            How many tasks were looked at.

        Raises:
            DatabaseUnavailable: Some of it is left.
        """
        if not await self._renew():
            return 0
        if self._retention is not None and monotonic() >= self._retention_at:
            await self._delete_old(datetime.now(UTC) - self._retention)
            self._retention_at = monotonic() + _RETENTION_SECONDS
        if expired := await store.claim_expired_intents(self._database):
            logger.info("%d uploads were never finished; deleting what they left", expired)
        tasks = await store.due_tasks(self._database, _TASKS_AT_ONCE)
        await self._work_off(tasks)
        return len(tasks)

    async def _repeat(self) -> None:
        while True:
            busy = False
            try:
                busy = await self.round() == _TASKS_AT_ONCE
            except DatabaseUnavailable:
                pass  # The database says so in the log itself.
            except Exception:
                logger.exception("cleaning up failed")
            await asyncio.sleep(0 if busy else _PAUSE_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311  # no secret

    async def _delete_old(self, before: datetime) -> None:
        images = 0
        while await self._renew() and (ids := await old_images(self._database, before, _OLD_AT_ONCE)):
            for image_id in ids:
                tasks = await delete_image(self._database, image_id, unused_since=before)
                images += tasks is not None
                await self._work_off(tasks or [])
        while (tasks := await delete_old_jobs(self._database, before, _OLD_AT_ONCE)) is not None:
            await self._work_off(tasks)
        if images:
            logger.info("retention: %d pictures deleted", images)

    async def _work_off(self, tasks: Sequence[CleanupTask]) -> None:
        """Renew the lease as often as it takes: a store that stalls makes every deletion slow."""
        for start in range(0, len(tasks), _DELETIONS_AT_ONCE):
            if not await self._renew():
                return
            failed = await delete_objects(
                self._database, self._objects, tasks[start : start + _DELETIONS_AT_ONCE]
            )
            if failed:
                logger.warning("%d stored objects could not be deleted; will try again", len(failed))

    async def _renew(self) -> bool:
        return await store.take_lease(self._database, _LEASE, self._holder, _LEASE_SECONDS)
