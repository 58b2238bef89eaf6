"""Which object store the settings name, and whether it is ready."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from service.settings import Settings
from service.storage.objects import ObjectStore, StoreUnavailable

__all__ = ["StoreMonitor", "open_store"]

_CHECK_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


def open_store(settings: Settings, data_dir: Path) -> ObjectStore:
    """The store that the settings name: S3 with an endpoint or an access key, else a folder. Connects nothing yet.

    Args:
        settings: The FACE_API_S3_* settings count.
        data_dir: The data folder.

    Raises:
        SettingsError: The S3 settings do not go together.
    """
    # Each is imported when it is asked for: aiobotocore and what it needs cost time and memory at every start.
    if settings.s3_endpoint or settings.s3_access_key:
        from service.storage.s3_store import S3Store

        return S3Store(settings)
    from service.storage.local_store import LocalStore

    return LocalStore(data_dir)


class StoreMonitor:
    """Asks the store every few seconds whether it is ready, so that readiness can be told at once."""

    def __init__(self, store: ObjectStore, seconds: float = _CHECK_SECONDS) -> None:
        """Watch `store`, pausing `seconds` between checks."""
        self._store = store
        self._seconds = seconds
        self._failure: str | None = "the object store has not answered yet"

    def failure(self) -> str | None:
        """What was wrong at the last check, or None."""
        return self._failure

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Check once, then again and again in the background."""
        await self._check()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._check()

    async def _check(self) -> None:
        try:
            await self._store.check()
        except StoreUnavailable as error:
            if self._failure != error.detail:
                logger.warning("object store: %s", error.detail)
            self._failure = error.detail
        else:
            self._failure = None
