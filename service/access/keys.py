"""API keys: their form, and who is admitted with which.

Requests are checked against a copy of the keys in memory. Every process looks at the database's version number
several times a second and reads the keys again when it has changed, so a revoked key stops within a second everywhere.
While the database is away the copy holds for `GRACE_SECONDS`; then nobody is admitted until it is back.
"""

import asyncio
import hashlib
import logging
import math
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

import msgspec

from service.errors import DatabaseUnavailable, Forbidden, NotAuthenticated, QuotaUsedUp
from service.storage import keys as store
from service.storage.engine import Database
from service.storage.keys import KeyCount, KeyFacts, KeyRecord
from service.storage.write_behind import quietly, repeat, write_out

__all__ = ["Allowance", "KeyRing", "digest_of", "missing_key", "new_record", "preview", "unknown_key"]

# How long keys are honoured that nobody could look up again.
GRACE_SECONDS: Final = 5.0
# Together with a slow query this stays under the second within which a revoked key stops.
_LOOK_SECONDS: Final = 0.4
_FLUSH_SECONDS: Final = 0.8
# Unknown keys are looked up at once, so that a new key works everywhere; so many a second, because anyone can ask.
_LOOKUPS_PER_SECOND: Final = 10
_MOST_STRANGERS: Final = 10_000

_KEY: Final = re.compile(rb"xyl_[0-9a-f]{48}")
_CHALLENGE: Final = 'Bearer realm="Face API"'

logger = logging.getLogger(__name__)


def new_record(
    name: str, *, expires_at: datetime | None = None, daily_quota: int | None = None
) -> tuple[str, KeyRecord]:
    """Make a random key: the key itself, which is kept nowhere, and the record of it."""
    key = "xyl_" + secrets.token_hex(24)
    record = KeyRecord(
        id=uuid4(),
        name=name,
        key_prefix=key[:8],
        key_suffix=key[-4:],
        is_active=True,
        request_count=0,
        last_used_at=None,
        created_at=datetime.now(UTC),
        expires_at=expires_at,
        daily_quota=daily_quota,
        used_today=0,
    )
    return key, record


def digest_of(key: str) -> str:
    """SHA-256 of a key, in hex. The key is random, so a slow hash would protect nothing more."""
    return hashlib.sha256(key.encode()).hexdigest()


def preview(record: KeyRecord) -> str:
    """How the key begins and ends."""
    return f"{record.key_prefix}...{record.key_suffix}"


class Allowance(msgspec.Struct, frozen=True):
    """What is left of a daily quota.

    Attributes:
        limit: Requests per day.
        remaining: Requests left today.
        reset: Seconds until midnight UTC, at least 1.
    """

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """The answer headers that say so."""
        return {
            "X-Quota-Limit": str(self.limit),
            "X-Quota-Remaining": str(self.remaining),
            "X-Quota-Reset": str(self.reset),
        }


class KeyRing:
    """The keys as one process knows them, and what it counted since the last flush.

    A flush whose connection breaks in the middle of the commit is done again, so such a second may count twice.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Know no keys yet.

        Args:
            database: Where the keys are.
            now: The clock.
        """
        self.database = database
        self._now = now
        self._keys: dict[str, KeyFacts] = {}
        self._version = -1
        self._looked_at = -math.inf
        self._look = asyncio.Lock()
        self._lookups: list[float] = []
        self._strangers: set[str] = set()
        self._counts: dict[UUID, KeyCount] = {}
        self._flush = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after the keys and the counters until the end; the last counts are written then."""
        stopping = asyncio.Event()
        await quietly(self.refresh, logger)
        tasks = (
            asyncio.create_task(repeat(self.refresh, _LOOK_SECONDS, stopping, logger)),
            asyncio.create_task(repeat(self.flush, _FLUSH_SECONDS, stopping, logger)),
        )
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*tasks)
            if not await write_out(self.flush):
                lost = sum(count.requests for count in self._counts.values())
                logger.error("the database stayed away: %d requests of API keys are not counted", lost)

    def fresh(self) -> bool:
        """Whether keys may be honoured."""
        return monotonic() - self._looked_at <= GRACE_SECONDS

    def failure(self) -> str | None:
        """Why requests with a key cannot be served now, for the health check; None if they can."""
        if self.database.reachable and self.fresh():
            return None
        return "the database of the API keys cannot be reached"

    async def identify(self, credential: bytes) -> KeyFacts:
        """Find the key; no query for a key that is known.

        Raises:
            NotAuthenticated: Nobody knows it.
            Forbidden: It is revoked or expired.
            DatabaseUnavailable: That cannot be told now.
        """
        if _KEY.fullmatch(credential) is None:
            raise unknown_key()
        if not self.fresh():
            raise DatabaseUnavailable("API keys cannot be checked: the database cannot be reached")
        # The time of this look-up tells nothing of other keys: what is compared are digests.
        digest = hashlib.sha256(credential).hexdigest()
        key = self._keys.get(digest)
        if key is None and digest not in self._strangers and self._may_look_up():
            await self.refresh()
            key = self._keys.get(digest)
            if key is None:
                self._remember_stranger(digest)
        if key is None:
            if not self.database.reachable:
                raise DatabaseUnavailable("API keys cannot be checked: the database cannot be reached")
            raise unknown_key()
        if not key.is_active:
            raise Forbidden("this API key has been revoked")
        if key.expires_at is not None and key.expires_at <= self._now():
            raise Forbidden(f"this API key expired at {key.expires_at.isoformat(timespec='seconds')}")
        return key

    async def admit(self, key: KeyFacts) -> Allowance | None:
        """Count a request; a key with a quota asks the database, which is exact over all processes.

        Returns:
            What is left of the quota; None without one.

        Raises:
            QuotaUsedUp: The quota of the day is used up.
            DatabaseUnavailable: The quota cannot be checked now.
        """
        now = self._now()
        if key.daily_quota is None:
            self._count(key, now, counted_for_day=False)
            return None
        used = await store.reserve_request(self.database, key.id, now.date(), key.daily_quota)
        reset = seconds_to_midnight(now)
        if used is None:
            allowance = Allowance(key.daily_quota, 0, reset)
            raise QuotaUsedUp(
                f"the daily quota of this API key is used up: {key.daily_quota} of {key.daily_quota} requests; "
                f"it starts anew at midnight UTC, in {reset} seconds",
                headers={**allowance.headers, "Retry-After": str(reset)},
            )
        self._count(key, now, counted_for_day=True)
        return Allowance(key.daily_quota, max(0, key.daily_quota - used), reset)

    async def refresh(self) -> None:
        """Read the keys again if any has changed.

        Raises:
            DatabaseUnavailable: The copy stays as it was.
        """
        async with self._look:
            started = monotonic()
            # The version first: a change between the two queries is then seen as one at the next look.
            version = await store.keys_version(self.database)
            if version != self._version:
                self._keys = {key.digest: key for key in await store.keys_facts(self.database)}
                self._version = version
            self._looked_at = started

    async def flush(self) -> None:
        """Write what was counted.

        Raises:
            DatabaseUnavailable: The counts are kept for the next flush.
        """
        async with self._flush:
            if not self._counts:
                return
            taken, self._counts = self._counts, {}
            try:
                await store.add_counts(self.database, taken)
            except BaseException:
                for key_id, count in taken.items():
                    self._merge(key_id, count)
                raise

    def _count(self, key: KeyFacts, now: datetime, *, counted_for_day: bool) -> None:
        count = self._counts.get(key.id)
        if count is None:
            count = self._counts[key.id] = KeyCount(0, now, {})
        count.requests += 1
        count.last_used_at = now
        if not counted_for_day:
            day = now.date()
            count.by_day[day] = count.by_day.get(day, 0) + 1

    def _merge(self, key_id: UUID, old: KeyCount) -> None:
        count = self._counts.setdefault(key_id, KeyCount(0, old.last_used_at, {}))
        count.requests += old.requests
        count.last_used_at = max(count.last_used_at, old.last_used_at)
        for day, requests in old.by_day.items():
            count.by_day[day] = count.by_day.get(day, 0) + requests

    def _remember_stranger(self, digest: str) -> None:
        """Nobody has a key before it is made, so one that was not found stays unknown: it costs no more look-ups."""
        if len(self._strangers) >= _MOST_STRANGERS:
            self._strangers.clear()
        self._strangers.add(digest)

    def _may_look_up(self) -> bool:
        now = monotonic()
        self._lookups = [at for at in self._lookups if now - at < 1.0]
        if len(self._lookups) >= _LOOKUPS_PER_SECOND:
            return False
        self._lookups.append(now)
        return True


def missing_key() -> NotAuthenticated:
    """The refusal of a request without a key."""
    return NotAuthenticated(
        "an API key is required: send it as X-API-Key, or as Authorization: Bearer",
        headers={"WWW-Authenticate": _CHALLENGE},
    )


def unknown_key() -> NotAuthenticated:
    """The refusal of a key that nobody knows."""
    return NotAuthenticated(
        "the API key is not known", headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}
    )


def seconds_to_midnight(now: datetime) -> int:
    """Whole seconds until the next midnight UTC, at least 1."""
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return max(1, math.ceil((midnight - now).total_seconds()))
