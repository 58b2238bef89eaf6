"""Counts the answers of detect and mask in memory, and writes them behind the requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final

from service.storage.activity import (
    Activity,
    Series,
    Tally,
    add_tallies,
    add_up,
    delete_before,
    read_activity,
)
from service.storage.engine import Database
from service.storage.latency import bucket_of
from service.storage.write_behind import quietly, repeat, write_out

__all__ = ["KEEP_DAYS", "ActivityCounter"]

# A year and some weeks, so that a month can be compared with the same one of last year.
KEEP_DAYS: Final = 400

_FLUSH_SECONDS: Final = 1.5
_TIDY_SECONDS: Final = 3600.0

logger = logging.getLogger(__name__)


class ActivityCounter:
    """The answers that one process counted since the last flush; without a database, since it started.

    A flush whose connection breaks in the middle of the commit is done again, so such a second may count twice.

    Attributes:
        database: Where the counts go; None without one.
    """

    def __init__(
        self, database: Database | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Nothing is counted yet.

        Args:
            database: Where the counts go; None: they stay in memory.
            now: The clock.
        """
        self.database = database
        self._now = now
        self._tallies: dict[tuple[date, Series], Tally] = {}
        self._flush = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write the counts until the end, and the last ones then; forget old days."""
        stopping = asyncio.Event()
        await quietly(self.tidy, logger)
        tasks = (
            asyncio.create_task(repeat(self.flush, _FLUSH_SECONDS, stopping, logger)),
            asyncio.create_task(repeat(self.tidy, _TIDY_SECONDS, stopping, logger)),
        )
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*tasks)
            if not await write_out(self.flush):
                lost = sum(tally.requests for tally in self._tallies.values())
                logger.error("the database stayed away: %d requests are missing in the figures by day", lost)

    def count(
        self, series: Series, status: int, *, milliseconds: float = 0.0, faces: int = 0, stored_bytes: int = 0
    ) -> None:
        """Count an answer.

        Args:
            series: What was asked for.
            status: The status of the answer; an error has no time, no faces and no bytes.
            milliseconds: How long it took.
            faces: Faces found.
            stored_bytes: Bytes that were stored anew.
        """
        key = (self._now().date(), series)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.requests += 1
        if status >= 500:
            tally.server_errors += 1
        elif status >= 400:
            tally.client_errors += 1
        else:
            bucket = bucket_of(milliseconds)
            tally.latency[bucket] = tally.latency.get(bucket, 0) + 1
            tally.faces += faces
            tally.stored_bytes += stored_bytes

    def unwritten(self, first_day: date, only: Series | None = None) -> Activity:
        """What this process holds in memory; the arguments are those of :func:`read_activity`."""
        return add_up(
            ((day, series, tally) for (day, series), tally in self._tallies.items() if day >= first_day), only
        )

    async def read(self, first_day: date, only: Series | None = None) -> Activity:
        """What all processes have written and this one has counted; without a database, what this one has.

        The arguments are those of :func:`read_activity`.

        Raises:
            DatabaseUnavailable: It cannot be told now.
        """
        if self.database is None:
            return self.unwritten(first_day, only)
        await self.flush()
        return await read_activity(self.database, first_day, only)

    async def flush(self) -> None:
        """Write what was counted.

        Raises:
            DatabaseUnavailable: The counts are kept for the next flush.
        """
        if self.database is None:
            return
        async with self._flush:
            if not self._tallies:
                return
            taken, self._tallies = self._tallies, {}
            try:
                await add_tallies(self.database, taken)
            except BaseException:
                for key, tally in taken.items():
                    self._tallies.setdefault(key, Tally()).add(tally)
                raise

    async def tidy(self) -> None:
        """Forget the days before the last `KEEP_DAYS`.

        Raises:
            DatabaseUnavailable: Not possible now.
        """
        oldest = self._now().date() - timedelta(days=KEEP_DAYS - 1)
        if self.database is not None:
            await delete_before(self.database, oldest)
        else:
            self._tallies = {key: tally for key, tally in self._tallies.items() if key[0] >= oldest}
