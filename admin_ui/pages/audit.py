"""/admin/audit: who did what."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from admin_ui.parts import Parts
from admin_ui.rendering import Pages, is_partial
from service.handlers.guards import admin_of
from service.handlers.parameters import read_parameters
from service.schemas.pages import PageParameters, page_counts
from service.storage.audit import entries_page

__all__ = ["audit_page"]


def audit_page(pages: Pages, parts: Parts) -> HTTPRouteHandler:
    """Build the route."""

    @get("/audit", name="console-audit")
    async def audit(request: Request[Any, Any, Any]) -> Response[str]:
        """The admin actions, the newest first."""
        parameters = read_parameters(PageParameters, {}, request.query_params.multi_items())
        context: dict[str, Any] = {"admin": admin_of(request.scope), "entries": None}
        if parts.database is not None:
            entries, total = await entries_page(
                parts.database, page=parameters.page, per_page=parameters.per_page
            )
            context |= {"entries": entries, **page_counts(total, parameters)}
        return pages.page(request, "audit_list.html" if is_partial(request) else "audit.html", context)

    return audit
