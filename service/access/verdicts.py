"""What a rate limit says to a request, whatever holds its windows."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import limits
from limits.aio.strategies import MovingWindowRateLimiter

__all__ = ["RateWindows", "Verdict"]


class Verdict(NamedTuple):
    """What a limit says to one request.

    Attributes:
        allowed: Whether it may go on.
        rate: The limit that decides, in words: ``300 per 1 minute``.
        limit: Requests that it allows.
        remaining: Requests left of it.
        reset_seconds: Whole seconds until the oldest counted request is forgotten, at least 1.
    """

    allowed: bool
    rate: str
    limit: int
    remaining: int
    reset_seconds: int


class RateWindows:
    """The library's strategy on one storage.

    Attributes:
        answers: How often the storage has answered so far.
    """

    def __init__(self, strategy: MovingWindowRateLimiter, clock: Callable[[], float]) -> None:
        """Use `strategy`, whose storage tells the time by `clock`."""
        self._strategy = strategy
        self._clock = clock
        self.answers = 0

    async def check(self, rates: Sequence[limits.RateLimitItem], name: str, key: str) -> Verdict:
        """Count a request; return the refusal, or the state of the limit of which least is left."""
        tightest: Verdict | None = None
        for rate in rates:
            allowed = await self._strategy.hit(rate, name, key)
            self.answers += 1
            reset_at, remaining = await self._strategy.get_window_stats(rate, name, key)
            self.answers += 1
            verdict = Verdict(
                allowed,
                str(rate),
                rate.amount,
                max(0, remaining) if allowed else 0,
                max(1, math.ceil(reset_at - self._clock())),
            )
            if not allowed:
                return verdict
            if tightest is None or verdict.remaining < tightest.remaining:
                tightest = verdict
        if tightest is None:
            raise ValueError(f"there are no rates for {name}")
        return tightest
