"""Work beside the requests: repeated until the process ends; what was counted is written before it does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from service.errors import DatabaseUnavailable

__all__ = ["quietly", "repeat", "write_out"]

_WRITE_OUT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.2

Work = Callable[[], Awaitable[None]]


async def repeat(work: Work, seconds: float, stopping: asyncio.Event, logger: logging.Logger) -> None:
    """Do the work after each pause of so many seconds. Not cancelled: what is under way must not lose what it took."""
    while not stopping.is_set():
        try:
            async with asyncio.timeout(seconds):
                await stopping.wait()
        except TimeoutError:
            await quietly(work, logger)


async def quietly(work: Work, logger: logging.Logger) -> None:
    """Do the work once, whatever fails."""
    try:
        await work()
    except DatabaseUnavailable:
        # The database has logged it; the next turn tries again.
        pass
    except Exception:
        logger.exception("unexpected error beside the requests")


async def write_out(flush: Work) -> bool:
    """Flush for the last time, again and again for some seconds where the database is away; False if it stayed away."""
    deadline = monotonic() + _WRITE_OUT_SECONDS
    while True:
        try:
            await flush()
        except DatabaseUnavailable:
            if monotonic() > deadline:
                return False
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return True
