"""Rate limits: how many requests a client address may make in a time.

Moving windows of the `limits` library. With FACE_API_REDIS_URL they lie in Redis or Valkey, where one script counts and
decides, so that they are exact over any number of processes; else, and as long as that server is lost, in the
memory of each process.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, Literal

import limits
from limits.aio.strategies import MovingWindowRateLimiter

from service.access.verdicts import RateWindows, Verdict
from service.access.windows import MemoryWindows
from service.settings import Settings

if TYPE_CHECKING:
    from service.access.redis_limits import SharedWindows

__all__ = ["LimitName", "RateLimits", "client_key", "rate_limit_notes"]

LimitName = Literal["detect", "mask", "login"]

_NAMES: Final[tuple[LimitName, ...]] = ("detect", "mask", "login")

# What one customer of an IPv6 provider has at the least; a limit by single addresses would be none.
_IPV6_PREFIX: Final = 64


class RateLimits:
    """The limits of one process, and their connection to Redis if there is one."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is connected yet.

        Raises:
            SettingsError: FACE_API_REDIS_URL is malformed.
        """
        self._rates = {name: _rates(settings, name) for name in _NAMES}
        self._local = RateWindows(MovingWindowRateLimiter(MemoryWindows()), time.monotonic)
        self._redis = _shared(settings.redis_url) if settings.redis_url else None

    def warning(self) -> str | None:
        """What /health has to say, in words for anybody; None if nothing."""
        if self._redis is None or self._redis.reachable:
            return None
        return "rate limits are counted per process: the server of FACE_API_REDIS_URL does not answer"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, keep watching the connection, and close it at the end. A lost server stops nothing."""
        if self._redis is None:
            yield
            return
        await self._redis.connect()
        watch = asyncio.create_task(self._redis.watch())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await self._redis.close()

    async def check(self, name: LimitName, address: str) -> Verdict:
        """Count a request.

        Args:
            name: Which limit.
            address: The client's address.

        Returns:
            The refusal, or the state of the limit of which least is left.
        """
        key = client_key(address)
        rates = self._rates[name]
        if self._redis is not None and self._redis.reachable:
            verdict = await self._redis.check(rates, name, key)
            if verdict is not None:
                return verdict
        return await self._local.check(rates, name, key)


@lru_cache(maxsize=4096)
def client_key(address: str) -> str:
    """What is limited for an address: itself, or its /64 network where it is of version 6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and not parsed.is_loopback:
        return str(IPv6Network((parsed, _IPV6_PREFIX), strict=False))
    return address


def rate_limit_notes(settings: Settings) -> list[str]:
    """What the start has to say about rate limits.

    Raises:
        SettingsError: FACE_API_REDIS_URL is malformed.
    """
    if settings.redis_url:
        from service.access.redis_limits import check_url

        check_url(settings.redis_url)
    elif settings.workers > 1:
        return [
            f"note: rate limits are per process, so {settings.workers} workers admit up to {settings.workers} times "
            "as much; set FACE_API_REDIS_URL to share them"
        ]
    return []


def _shared(url: str) -> "SharedWindows":
    from service.access.redis_limits import SharedWindows

    return SharedWindows(url)


def _rates(settings: Settings, name: LimitName) -> list[limits.RateLimitItem]:
    # Short windows first: what a short one refuses is not counted by a long one.
    rates = limits.parse_many(getattr(settings, f"rate_limit_{name}"))
    return sorted(rates, key=lambda rate: rate.get_expiry())
