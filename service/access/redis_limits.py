"""Windows of rate limits in Redis or Valkey, and whether that server answers.

Imported only where FACE_API_REDIS_URL is set: the client takes its time.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import limits
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.access.verdicts import RateWindows, Verdict
from service.errors import SettingsError
from service.ranges import shorten
from service.settings import variable_name

__all__ = ["SharedWindows", "check_url"]

T = TypeVar("T")

_PREFIX: Final = "face-api"
# One, made at the start: commands are short, and a burst of requests must not wait for a burst of handshakes.
_CONNECTIONS: Final = 1

# How long Redis may be silent while we ask; after that nobody waits until a probe, once a second, is answered.
_PATIENCE_SECONDS: Final = 0.1
_START_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 1.0
_SLICES: Final = 10
_POOL_OPTIONS: Final[dict[str, Any]] = {
    "max_connections": _CONNECTIONS,
    # Who waits for a connection waits within the patience of its request.
    "timeout": None,
    "socket_connect_timeout": _START_SECONDS,
    # A connection that broke while it was idle gets a second try.
    "retry": Retry(NoBackoff(), 1),
}
# Writes on every probe, so that a server that only reads counts as lost.
_PROBE_RATE: Final = limits.RateLimitItemPerSecond(1000)

logger = logging.getLogger(__name__)


class SharedWindows:
    """Windows shared through Redis, and whether it answers.

    Attributes:
        reachable: Whether the last thing that we asked was answered.
    """

    def __init__(self, url: str) -> None:
        """Prepare; nothing is connected yet.

        Raises:
            SettingsError: FACE_API_REDIS_URL is malformed.
        """
        self._pool = _pool(url)
        self._shown = _without_secrets(url)
        # The pool carries the URL; what is given here only names the kind.
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=_PREFIX,
            connection_pool=self._pool,  # type: ignore[arg-type]  # passed on to the client, which takes a pool
        )
        # Windows in Redis are written by the clocks of all processes, so by the time of day.
        self._windows = RateWindows(MovingWindowRateLimiter(storage), time.time)
        self._connected = False
        self.reachable = True

    async def check(self, rates: Sequence[limits.RateLimitItem], name: str, key: str) -> Verdict | None:
        """Count a request; None when Redis does not answer, which is then known to be lost."""
        try:
            return await self._while_alive(_PATIENCE_SECONDS, self._windows.check(rates, name, key))
        except Exception as error:  # noqa: BLE001  # whatever the client stumbles over, the request goes on
            self._lost(error)
            return None

    async def probe(self, seconds: float = _PATIENCE_SECONDS) -> None:
        """Find out whether Redis counts."""
        try:
            await self._while_alive(seconds, self._windows.check([_PROBE_RATE], "probe", str(os.getpid())))
        except Exception as error:  # noqa: BLE001  # else nothing would notice when it is back
            self._lost(error)
            return
        if not (self.reachable and self._connected):
            logger.info("rate limits are shared through %s", self._shown)
        self.reachable = self._connected = True

    async def watch(self) -> None:
        """Probe for ever."""
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            await self.probe()

    async def connect(self) -> None:
        """Find out whether Redis counts, with the patience of a start."""
        await self.probe(_START_SECONDS)

    async def close(self) -> None:
        """Close the connection."""
        with suppress(RedisError, OSError):
            await self._while_alive(_PATIENCE_SECONDS, self._pool.disconnect())

    async def _while_alive(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work` as long as Redis gives a sign of life.

        Silence is counted in turns of the event loop, since while the loop itself is held up nothing is heard; and an
        answer to any request is a sign, since in a burst each waits for those before it.

        Raises:
            TimeoutError: Redis was silent for `seconds`; the work is cancelled.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(_take_notice)
        try:
            silent, answers = 0, self._windows.answers
            while silent < _SLICES:
                await asyncio.wait({task}, timeout=seconds / _SLICES)
                if task.done():
                    return task.result()
                silent = silent + 1 if answers == self._windows.answers else 0
                answers = self._windows.answers
        finally:
            task.cancel()
        raise TimeoutError

    def _lost(self, error: Exception) -> None:
        if self.reachable:
            reason = "no answer in time" if isinstance(error, TimeoutError) else shorten(str(error), 200)
            logger.warning(
                "FACE_API_REDIS_URL: %s is lost (%s); rate limits are per process until it is back",
                self._shown,
                reason,
            )
        self.reachable = False


def check_url(url: str) -> None:
    """Find out whether a URL can be used.

    Raises:
        SettingsError: It is malformed.
    """
    _pool(url)


def _pool(url: str) -> BlockingConnectionPool:
    for ours, known in (("valkey://", "redis://"), ("valkeys://", "rediss://")):
        # One client serves both kinds of server; it knows one name.
        if url.startswith(ours):
            url = known + url.removeprefix(ours)
    try:
        pool = BlockingConnectionPool.from_url(_checked(url), **_POOL_OPTIONS)
        # Unknown options in the URL show only here.
        pool.make_connection()  # type: ignore[no-untyped-call]  # the client leaves it untyped
    except (ValueError, TypeError, RedisError):
        # The reasons that the client gives quote the URL, so that a part of the password could be among them.
        raise SettingsError(
            f"{variable_name('redis_url')} is malformed: expected redis://[user:password@]host[:port][/number] "
            "(also rediss, valkey, valkeys, or unix:///path), with special characters of the password as %XX"
        ) from None
    return pool


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"} or parts.fragment:
        raise ValueError
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError
    elif not parts.hostname or parts.port == 0 or not re.fullmatch(r"/?[0-9]{0,5}", parts.path, re.ASCII):
        raise ValueError
    return url


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _take_notice(task: asyncio.Task[Any]) -> None:
    # Else a failure after the cancellation would be reported as one that nobody looked at.
    if not task.cancelled():
        task.exception()
