"""Lock-out: ten failures in a row from one address, and it may not try again for 15 minutes, right password or not.

Every attempt counts as a failure before its password is looked at, and is taken back when it was right. So however many
come at once, and to however many processes, ten passwords are tried and no more.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from service.access.limits import client_key
from service.errors import LockedOut
from service.storage import lockout as store
from service.storage.engine import Database

__all__ = ["LOCK", "MOST_FAILURES", "DatabaseLockout", "Lockout", "MemoryLockout", "duration"]

MOST_FAILURES: Final = 10
LOCK: Final = timedelta(minutes=15)

# Failures of an address that has been silent for so long are no longer "in a row".
_FORGET: Final = timedelta(days=1)
_MOST_ADDRESSES: Final = 100_000
_MOST_IN_MEMORY: Final = 10_000


class Lockout(Protocol):
    """What the admin's door needs."""

    async def check(self, address: str) -> bool:
        """Whether the address has failed before.

        Raises:
            LockedOut: It is locked.
        """

    async def attempt(self, address: str) -> int:
        """Count an attempt as failed, and say how many that makes.

        Raises:
            LockedOut: The address is locked.
        """

    async def succeeded(self, address: str) -> None:
        """Start anew with the address."""

    async def tidy(self) -> None:
        """Forget what is old."""


class DatabaseLockout:
    """Failures in the database: the same for every process."""

    def __init__(self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Count in `database`, by the clock `now`."""
        self._database = database
        self._now = now

    async def check(self, address: str) -> bool:
        """As the protocol says."""
        found = await store.failures_of(self._database, client_key(address))
        if found is None:
            return False
        failures, last = found
        if failures >= MOST_FAILURES and last + LOCK > self._now():
            raise _locked(last + LOCK - self._now())
        return True

    async def attempt(self, address: str) -> int:
        """As the protocol says."""
        # A flood from a locked address only reads; what follows still decides for attempts that come together.
        await self.check(address)
        now = self._now()
        key = client_key(address)
        failures = await store.count_attempt(
            self._database, key, limit=MOST_FAILURES, now=now, locked_since=now - LOCK
        )
        if failures is None:
            # Locked since then, or unlocked again by a new password or another attempt that was right.
            return await self.attempt(address)
        return failures

    async def succeeded(self, address: str) -> None:
        """As the protocol says."""
        await store.forget_failures(self._database, client_key(address))

    async def tidy(self) -> None:
        """As the protocol says."""
        await store.tidy_failures(self._database, before=self._now() - _FORGET, most=_MOST_ADDRESSES)


class MemoryLockout:
    """Failures in the memory of one process, for a service without a database."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Count by the clock `now`."""
        self._now = now
        # In the order of the last failure.
        self._failures: dict[str, tuple[int, datetime]] = {}

    async def check(self, address: str) -> bool:
        """As the protocol says."""
        failures, last = self._failures.get(client_key(address), (0, self._now()))
        if failures >= MOST_FAILURES and last + LOCK > self._now():
            raise _locked(last + LOCK - self._now())
        return failures > 0

    async def attempt(self, address: str) -> int:
        """As the protocol says."""
        await self.check(address)
        key = client_key(address)
        failures, _ = self._failures.pop(key, (0, None))
        failures = 1 if failures >= MOST_FAILURES else failures + 1
        self._failures[key] = (failures, self._now())
        if len(self._failures) > _MOST_IN_MEMORY:
            del self._failures[next(iter(self._failures))]
        return failures

    async def succeeded(self, address: str) -> None:
        """As the protocol says."""
        self._failures.pop(client_key(address), None)

    async def tidy(self) -> None:
        """As the protocol says."""
        before = self._now() - _FORGET
        self._failures = {key: value for key, value in self._failures.items() if value[1] > before}


def _locked(left: timedelta) -> LockedOut:
    seconds = max(1, math.ceil(left.total_seconds()))
    return LockedOut(
        f"too many failed logins from this address; locked for another {duration(seconds)}",
        {"Retry-After": str(seconds)},
    )


def duration(seconds: int) -> str:
    """In words: "14 minutes 3 seconds"."""
    parts = [(seconds // 60, "minute"), (seconds % 60, "second")]
    return " ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count)
