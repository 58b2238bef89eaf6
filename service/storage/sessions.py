"""Queries about admin sessions."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from service.storage.engine import Database

__all__ = [
    "SessionRecord",
    "add_session",
    "delete_expired_sessions",
    "delete_sessions",
    "delete_sessions_except",
    "find_session_user",
]


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A session.

    Attributes:
        digest: SHA-256 of the cookie's value, in hex.
        generation: That of the password it was opened with.
        address: Where from.
        created_at: When.
        expires_at: Until when it counts.
    """

    digest: str
    generation: UUID
    address: str
    created_at: datetime
    expires_at: datetime


async def add_session(database: Database, session: SessionRecord) -> None:
    """Insert a session."""
    await database.fetch(
        "INSERT INTO admin_session (digest, generation, address, created_at, expires_at) VALUES ({}, {}, {}, {}, {})",
        *msgspec.structs.astuple(session),
    )


async def find_session_user(database: Database, digest: str, source: str, now: datetime) -> str | None:
    """Whose session that is; None if it has expired, or if the password of `source` is another one by now."""
    rows = await database.fetch(
        """
        SELECT c.username FROM admin_session s JOIN admin_credential c ON c.generation = s.generation
        WHERE s.digest = {} AND s.expires_at > {} AND c.source = {}
        """,
        digest,
        now,
        source,
    )
    return rows[0]["username"] if rows else None


async def delete_sessions(database: Database, digests: Iterable[str]) -> int:
    """Delete these; returns how many there were."""
    deleted = 0
    for digest in digests:
        rows = await database.fetch("DELETE FROM admin_session WHERE digest = {} RETURNING digest", digest)
        deleted += len(rows)
    return deleted


async def delete_sessions_except(database: Database, generation: UUID | None) -> None:
    """Delete every session that was opened with another password; None: every session."""
    if generation is None:
        await database.fetch("DELETE FROM admin_session")
    else:
        await database.fetch("DELETE FROM admin_session WHERE generation <> {}", generation)


async def delete_expired_sessions(database: Database, now: datetime) -> None:
    """Delete what does not count any more."""
    await database.fetch("DELETE FROM admin_session WHERE expires_at <= {}", now)
