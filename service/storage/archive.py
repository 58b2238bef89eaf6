"""The storage of one process: what records, what cleans up, and whether it works."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from service.settings import Settings
from service.storage.cleanup import Cleaner
from service.storage.cleanup_tasks import count_tasks
from service.storage.engine import Database
from service.storage.objects import ObjectStore
from service.storage.recorder import Recorder
from service.storage.stores import StoreMonitor, open_store

__all__ = ["Archive", "open_archive"]

_FAILURE: Final = "the database of the stored pictures cannot be reached"
_FULL: Final = "the disk of the database of the stored pictures is full"


class Archive:
    """Stored pictures and jobs.

    Attributes:
        database: Their rows.
        objects: Their bytes.
        recorder: Records requests.
        public_endpoint: Address of the bucket at FACE_API_S3_PUBLIC_ENDPOINT; empty without one.
    """

    def __init__(self, settings: Settings, database: Database, objects: ObjectStore) -> None:
        """Use a database and a store; :func:`open_archive` chooses them."""
        self.database = database
        self.objects = objects
        public = (settings.s3_public_endpoint or "").rstrip("/")
        # With the bucket in the path, as in the links that the store signs.
        self.public_endpoint = f"{public}/{settings.s3_bucket}" if public else ""
        self.recorder = Recorder(database, objects, keep_originals=settings.store_originals)
        self._cleaner = Cleaner(database, objects, retention_days=settings.retention_days)
        self._monitor = StoreMonitor(objects)

    async def backlog(self) -> int:
        """How many objects wait to be deleted.

        Raises:
            DatabaseUnavailable: That cannot be told now.
        """
        return (await count_tasks(self.database))[0]

    def failure(self) -> str | None:
        """Why nothing can be stored now, for the health check; None if it can."""
        if failure := self._monitor.failure():
            return failure
        if not self.database.has_room():
            return _FULL
        return None if self.database.reachable else _FAILURE

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the store and clean up until the end. The database must be open."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.objects)
            stack.push_async_callback(self.recorder.aclose)
            await stack.enter_async_context(self._monitor.running())
            await stack.enter_async_context(self._cleaner.running())
            yield


def open_archive(settings: Settings, database: Database | None) -> Archive | None:
    """The storage that the settings name; None where storage is off. Connects nothing yet.

    Raises:
        SettingsError: The S3 settings do not go together.
    """
    if not settings.storage_enabled or database is None:
        return None
    return Archive(settings, database, open_store(settings, Path(settings.data_dir)))
