"""/admin/keys: the API keys and their use."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from admin_ui.parts import Parts
from admin_ui.rendering import Pages, is_partial
from service.access.key_fields import key_response
from service.handlers.guards import admin_of
from service.handlers.parameters import read_parameters
from service.schemas.keys import ApiKeyResponse
from service.schemas.pages import PageParameters, page_counts
from service.storage.key_usage import requests_by_key
from service.storage.keys import keys_page as read_keys

__all__ = ["DAYS", "days_until", "keys_page"]

# What the small charts show.
DAYS: Final = 30


class _KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key and how it is shown.

    Attributes:
        key: The key, as the API has it.
        state: ``active``, ``revoked`` or ``expired``.
        days: Requests on each of the last days, the oldest first.
    """

    key: ApiKeyResponse
    state: str
    days: list[int]


def keys_page(pages: Pages, parts: Parts) -> HTTPRouteHandler:
    """Build the route."""

    @get("/keys", name="console-keys")
    async def keys(request: Request[Any, Any, Any]) -> Response[str]:
        """The keys, the newest first."""
        parameters = read_parameters(PageParameters, {}, request.query_params.multi_items())
        context: dict[str, Any] = {
            "admin": admin_of(request.scope),
            "rows": None,
            "asked": parts.report.settings.api_key_enabled,
        }
        if parts.keys is not None:
            now = datetime.now(UTC)
            await parts.keys.flush()
            database = parts.keys.database
            records, total = await read_keys(
                database, now.date(), page=parameters.page, per_page=parameters.per_page
            )
            days = days_until(now.date())
            usage = await requests_by_key(database, days[0], [record.id for record in records])
            context["rows"] = [
                _KeyRow(
                    key=key_response(record),
                    state=_state(record.is_active, record.expires_at, now),
                    days=[usage.get(record.id, {}).get(day, 0) for day in days],
                )
                for record in records
            ]
            context |= page_counts(total, parameters)
        return pages.page(request, "keys_list.html" if is_partial(request) else "keys.html", context)

    return keys


def days_until(today: date) -> list[date]:
    """The last days, today the last one."""
    return [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]


def _state(is_active: bool, expires_at: datetime | None, now: datetime) -> str:
    if not is_active:
        return "revoked"
    return "expired" if expires_at is not None and expires_at <= now else "active"
