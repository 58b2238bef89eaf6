"""Queries about the audit."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.storage.engine import Database

__all__ = ["FAILURE", "SUCCESS", "AuditRecord", "add_entry", "entries_page", "trim_failures"]

SUCCESS: Final = "success"
FAILURE: Final = "failure"


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One admin action."""

    id: UUID
    at: datetime
    actor: str
    address: str
    action: str
    outcome: str
    target: str | None
    detail: str | None


async def add_entry(database: Database, entry: AuditRecord) -> None:
    """Insert an entry."""
    await database.fetch(
        """
        INSERT INTO audit_entry (id, at, actor, address, action, outcome, target, detail)
        VALUES ({}, {}, {}, {}, {}, {}, {}, {})
        """,
        *msgspec.structs.astuple(entry),
    )


async def entries_page(database: Database, *, page: int, per_page: int) -> tuple[list[AuditRecord], int]:
    """One page of entries, the newest first, and how many entries there are."""
    total = await database.fetch("SELECT COUNT(*) AS total FROM audit_entry")
    rows = await database.fetch(
        """
        SELECT id, at, actor, address, action, outcome, target, detail FROM audit_entry
        ORDER BY at DESC, id DESC LIMIT {} OFFSET {}
        """,
        per_page,
        (page - 1) * per_page,
    )
    return [AuditRecord(**row) for row in rows], total[0]["total"]


async def trim_failures(database: Database, most: int) -> None:
    """Delete the oldest failures beyond `most`: anybody can make them. What was done is kept."""
    await database.fetch(
        """
        DELETE FROM audit_entry WHERE outcome = {} AND at < (
            SELECT at FROM audit_entry WHERE outcome = {} ORDER BY at DESC LIMIT 1 OFFSET {}
        )
        """,
        FAILURE,
        FAILURE,
        most - 1,
    )
