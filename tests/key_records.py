"""Keys in a database."""

from datetime import UTC, datetime
from typing import Any

from service.access.keys import digest_of, new_record
from service.storage import keys as store
from service.storage.engine import Database
from service.storage.keys import KeyRecord

__all__ = ["made", "record_of"]


async def made(database: Database, **fields: Any) -> tuple[bytes, KeyRecord]:
    """A new key in the database."""
    key, record = new_record("test", **fields)
    assert await store.add_key(database, record, digest_of(key))
    return key.encode(), record


async def record_of(database: Database, record: KeyRecord) -> KeyRecord:
    """The key as the database has it."""
    found = await store.get_key(database, record.id, datetime.now(UTC).date())
    assert found is not None
    return found
