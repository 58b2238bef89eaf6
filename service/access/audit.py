"""The audit: who did what as admin, from where, when. It never has a password, a key or a session."""

import os
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from service.storage import audit as store
from service.storage.audit import FAILURE, SUCCESS, AuditRecord
from service.storage.engine import Database

__all__ = ["COMMAND_LINE", "UNKNOWN", "Action", "record"]

Action = Literal[
    "auth.login",
    "auth.basic",
    "auth.logout",
    "auth.password",
    "api_key.create",
    "api_key.update",
    "api_key.delete",
    "image.delete",
    "cleanup.retry",
]

# Who did it, where no admin is known. The name that a failed login gave is not kept: people type passwords there.
UNKNOWN: Final = "unknown"
COMMAND_LINE: Final = "command line"

_LONGEST_ADDRESS: Final = 64
_LONGEST_TARGET: Final = 200


async def record(
    database: Database,
    actor: str,
    address: str,
    action: Action,
    *,
    target: str | None = None,
    detail: str | None = None,
    success: bool = True,
) -> None:
    """Write an entry; within a transaction it takes effect with what it tells of.

    Args:
        database: Where.
        actor: The admin's name, :data:`UNKNOWN` or :data:`COMMAND_LINE`.
        address: From where.
        action: What.
        target: To what: an id.
        detail: More, in words.
        success: Whether it was done.
    """
    now = datetime.now(UTC)
    await store.add_entry(
        database,
        AuditRecord(
            id=_ordered_id(now),
            at=now,
            actor=actor,
            address=address[:_LONGEST_ADDRESS],
            action=action,
            outcome=SUCCESS if success else FAILURE,
            target=None if target is None else target[:_LONGEST_TARGET],
            detail=detail,
        ),
    )


def _ordered_id(now: datetime) -> UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, the version, random bits around the variant."""
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    number &= ~(0xF << 76 | 0x3 << 62)
    return UUID(int=number | 0x7 << 76 | 0x2 << 62)
