"""/admin/try: a picture, masked at once."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from admin_ui.parts import Parts
from admin_ui.rendering import Pages
from service.handlers.guards import admin_of

__all__ = ["trial_page"]


def trial_page(pages: Pages, parts: Parts) -> HTTPRouteHandler:
    """Build the route."""

    @get("/try", name="console-try")
    async def trial(request: Request[Any, Any, Any]) -> Response[str]:
        """The page; its script sends the picture to the admin's own mask endpoint."""
        context = {"admin": admin_of(request.scope), "settings": parts.report.settings}
        return pages.page(request, "try.html", context)

    return trial
