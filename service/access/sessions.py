"""Admin sessions: a random value in a cookie, its digest in the database, the same for every process."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from service.storage import sessions as store
from service.storage.engine import Database
from service.storage.sessions import SessionRecord

__all__ = ["Sessions"]

_BYTES: Final = 32
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST_ADDRESS: Final = 64


class Sessions:
    """The sessions of the admin."""

    def __init__(
        self,
        database: Database,
        ttl: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Keep them in `database` for `ttl` seconds, by the clock `now`."""
        self._database = database
        self._ttl = timedelta(seconds=ttl)
        self._now = now

    async def open(self, generation: UUID, address: str) -> str:
        """Open a session, and return the value of its cookie: a new one each time, whatever the client sent.

        Those that have expired are deleted on the way.

        Args:
            generation: That of the password.
            address: Where from.
        """
        value = secrets.token_urlsafe(_BYTES)
        now = self._now()
        await self.tidy()
        await store.add_session(
            self._database,
            SessionRecord(
                digest=_digest(value),
                generation=generation,
                address=address[:_LONGEST_ADDRESS],
                created_at=now,
                expires_at=now + self._ttl,
            ),
        )
        return value

    async def user(self, value: str, source: str) -> str | None:
        """Whose session it is; None if it is none, or not any more.

        Args:
            value: The cookie's.
            source: Which password is in force.
        """
        if not _VALUE.fullmatch(value):
            return None
        return await store.find_session_user(self._database, _digest(value), source, self._now())

    async def end(self, values: Iterable[str]) -> int:
        """End these, everywhere; returns how many there were."""
        return await store.delete_sessions(
            self._database, [_digest(value) for value in values if _VALUE.fullmatch(value)]
        )

    async def tidy(self) -> None:
        """Delete those that have expired."""
        await store.delete_expired_sessions(self._database, self._now())


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
