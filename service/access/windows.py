"""Rate limits in the memory of one process: a storage for the `limits` library.

The library's own one for asyncio goes through every address that it knows after every request, in the event loop.
This one touches one address a request, forgets those whose window has passed, and never holds more than it may.
"""

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from limits.aio.storage import MovingWindowSupport, Storage

__all__ = ["MAX_KEYS", "MemoryWindows"]

# Keys of one window length; beyond it the one that has been silent longest is forgotten.
MAX_KEYS: Final = 50_000

# Hits this close together, as a part of the window, count as one moment: the last of them. A key holds this many
# moments and a few, whatever its limit; what leaves the window does so at most this much too late, never too early.
_RESOLUTION: Final = 500


class _Window:
    """The hits of one key that are younger than the window."""

    __slots__ = ("counts", "times", "total")

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []
        self.total = 0

    def forget(self, until: float) -> None:
        if self.times and self.times[0] < until:
            gone = bisect_left(self.times, until)
            self.total -= sum(self.counts[:gone])
            del self.times[:gone], self.counts[:gone]

    def add(self, now: float, amount: int, width: float) -> None:
        # The first moment stays as it is, so that it is known when the oldest hit leaves.
        if len(self.times) > 1 and now - self.times[-2] < width:
            self.times[-1] = now
            self.counts[-1] += amount
        else:
            self.times.append(now)
            self.counts.append(amount)
        self.total += amount


class MemoryWindows(Storage, MovingWindowSupport):
    """Moving windows over the hits of each key.

    It has no locks: between reading and writing nothing is awaited, and an event loop is one thread.
    """

    # Made by us directly, never by a URL.
    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS) -> None:
        """Start empty.

        Args:
            clock: Seconds that never go back.
            max_keys: Keys of one window length.
        """
        super().__init__()
        self._clock = clock
        self._max_keys = max_keys
        # By length of the window and by key; keys in the order of their last hit.
        self._windows: dict[int, dict[str, _Window]] = {}

    def __len__(self) -> int:
        """How many keys are held."""
        return sum(len(windows) for windows in self._windows.values())

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a failure of this storage would raise."""
        return ValueError

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit if the window has room for it.

        Args:
            key: Whose window.
            limit: Hits that the window holds.
            expiry: Its length in seconds.
            amount: Hits to count.
        """
        now = self._clock()
        windows = self._windows.setdefault(expiry, {})
        window = windows.pop(key, None) or _Window()
        window.forget(now - expiry)
        if allowed := window.total + amount <= limit:
            window.add(now, amount, expiry / _RESOLUTION)
        if window.total:
            windows[key] = window
        self._tidy(windows, now - expiry)
        return allowed

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002  # the library's signature
        """The time of the oldest hit within the window, and the number of hits."""
        now = self._clock()
        window = self._windows.get(expiry, {}).get(key)
        if window is not None:
            window.forget(now - expiry)
            if window.total:
                return window.times[0], window.total
        return now, 0

    def _tidy(self, windows: dict[str, _Window], until: float) -> None:
        # Two a hit are enough to shrink again, since a hit adds one at most.
        for _ in range(2):
            oldest = next(iter(windows), None)
            if oldest is None:
                return
            times = windows[oldest].times
            if len(windows) <= self._max_keys and times and times[-1] >= until:
                return
            del windows[oldest]

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Not needed by moving windows."""
        raise NotImplementedError

    async def get(self, key: str) -> int:
        """The hits of a key in all its windows, as last counted."""
        return sum(windows[key].total for windows in self._windows.values() if key in windows)

    async def get_expiry(self, key: str) -> float:
        """When the last hit of a key leaves its longest window."""
        ends = (w[key].times[-1] + expiry for expiry, w in self._windows.items() if key in w)
        return max(ends, default=self._clock())

    async def check(self) -> bool:
        """Memory is always there."""
        return True

    async def clear(self, key: str) -> None:
        """Forget a key."""
        for windows in self._windows.values():
            windows.pop(key, None)

    async def reset(self) -> int:
        """Forget everything; returns how many keys there were."""
        held = len(self)
        self._windows.clear()
        return held
