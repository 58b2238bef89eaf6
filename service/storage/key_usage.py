"""What keys were used for, day by day."""

from collections import defaultdict
from datetime import date
from uuid import UUID

from service.storage.engine import Database

__all__ = ["requests_by_key"]


async def requests_by_key(
    database: Database, first_day: date, keys: list[UUID]
) -> dict[UUID, dict[date, int]]:
    """Requests of some keys by day (UTC); days without any are left out.

    Args:
        database: Where.
        first_day: The earliest day.
        keys: Which keys.
    """
    usage: dict[UUID, dict[date, int]] = defaultdict(dict)
    if not keys:
        return usage
    places = ", ".join(["{}"] * len(keys))
    rows = await database.fetch(
        f"SELECT key_id, day, requests FROM key_usage WHERE day >= {{}} AND key_id IN ({places})",  # noqa: S608  # placeholders only
        first_day,
        *keys,
    )
    for row in rows:
        usage[row["key_id"]][row["day"]] = row["requests"]
    return usage
