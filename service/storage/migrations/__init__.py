"""Steps of the schema, oldest first. A step that has been released is never changed: add another one.

A step is SQL that both engines understand, so that it stays what it was when the tables move on. The types are those
that Piccolo reads back: UUID, BOOLEAN, TIMESTAMPTZ, DATE, INTEGER, BIGINT, VARCHAR and TEXT.
"""

from typing import Final

from service.storage.migrations import m0001_access, m0002_admin, m0003_storage, m0004_activity

__all__ = ["MIGRATIONS"]

MIGRATIONS: Final[dict[str, tuple[str, ...]]] = {
    "0001_access": m0001_access.STATEMENTS,
    "0002_admin": m0002_admin.STATEMENTS,
    "0003_storage": m0003_storage.STATEMENTS,
    "0004_activity": m0004_activity.STATEMENTS,
}
