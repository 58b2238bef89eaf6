"""The fields of an API key, in and out: the same over HTTP and on the command line."""

from datetime import UTC, datetime
from typing import Final

from service.access.keys import preview
from service.errors import RequestError
from service.ranges import shorten
from service.schemas.keys import ApiKeyResponse
from service.storage.keys import KeyRecord

__all__ = ["checked_name", "key_response", "parse_expiry"]

_LONGEST_NAME: Final = 100


def checked_name(name: str) -> str:
    """A name without spaces around it.

    Raises:
        RequestError: Nothing is left, it is too long, or it has control characters.
    """
    stripped = name.strip()
    if not stripped or len(stripped) > _LONGEST_NAME or not stripped.isprintable():
        raise RequestError(f"name='{shorten(name)}': expected a text of 1 to 100 printable characters")
    return stripped


def parse_expiry(text: str) -> datetime:
    """A time in the future.

    Raises:
        RequestError: Not a time, without an offset, or in the past.
    """
    try:
        # Whole seconds, which is what the answers show.
        moment = datetime.fromisoformat(text).replace(microsecond=0)
        aware = moment.utcoffset() is not None
        moment = moment.astimezone(UTC) if aware else moment
    except (ValueError, OverflowError):
        aware = False
    if not aware:
        raise RequestError(
            f"expires_at='{shorten(text)}': expected a time with an offset such as 2027-01-01T00:00:00+00:00, or null"
        )
    if moment <= datetime.now(UTC):
        raise RequestError(f"expires_at='{shorten(text)}': expected a time in the future, or null")
    return moment


def key_response(record: KeyRecord) -> ApiKeyResponse:
    """A key as the API shows it."""
    return ApiKeyResponse(
        id=str(record.id),
        name=record.name,
        key_prefix=record.key_prefix,
        key_suffix=record.key_suffix,
        key_preview=preview(record),
        is_active=record.is_active,
        request_count=record.request_count,
        last_used_at=_iso(record.last_used_at),
        created_at=_iso(record.created_at) or "",
        expires_at=_iso(record.expires_at),
        daily_quota=record.daily_quota,
        used_today=record.used_today,
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")
