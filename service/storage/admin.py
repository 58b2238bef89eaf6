"""Queries about the admin's passwords."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.storage.engine import Database

__all__ = ["SETTINGS", "STORED", "CredentialRecord", "add_credential", "get_credential", "put_credential"]

# Where a password comes from.
STORED: Final = "stored"
SETTINGS: Final = "settings"

_INSERT: Final = """
    INSERT INTO admin_credential (source, username, password_hash, generation, is_short, updated_at)
    VALUES ({}, {}, {}, {}, {}, {})
"""
_SELECT: Final = """
    SELECT source, username, password_hash, generation, is_short, updated_at
    FROM admin_credential WHERE source = {}
"""


class CredentialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A password, as a slow hash.

    Attributes:
        source: :data:`STORED` or :data:`SETTINGS`.
        username: Whose.
        password_hash: Its argon2 hash.
        generation: A new one with every change; sessions of another one do not count.
        is_short: Whether the password is short enough to warn of.
        updated_at: When it was made.
    """

    source: str
    username: str
    password_hash: str
    generation: UUID
    is_short: bool
    updated_at: datetime


async def get_credential(database: Database, source: str) -> CredentialRecord | None:
    """The password of that source, or None."""
    rows = await database.fetch(_SELECT, source)
    return CredentialRecord(**{**rows[0], "is_short": bool(rows[0]["is_short"])}) if rows else None


async def add_credential(database: Database, record: CredentialRecord) -> bool:
    """Insert a password unless the source has one; False if it has. Several processes may do so at once."""
    rows = await database.fetch(
        _INSERT + "ON CONFLICT (source) DO NOTHING RETURNING source", *_values(record)
    )
    return bool(rows)


async def put_credential(database: Database, record: CredentialRecord) -> None:
    """Insert a password, or replace that of its source."""
    await database.fetch(
        _INSERT
        + """
        ON CONFLICT (source) DO UPDATE SET username = EXCLUDED.username, password_hash = EXCLUDED.password_hash,
            generation = EXCLUDED.generation, is_short = EXCLUDED.is_short, updated_at = EXCLUDED.updated_at
        """,
        *_values(record),
    )


def _values(record: CredentialRecord) -> tuple[object, ...]:
    return msgspec.structs.astuple(record)
