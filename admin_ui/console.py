"""The admin console under /admin: it reads with the functions of the API; its scripts change things through the API.

So there is one way to do a thing, with one check of who may and one entry in the audit.
"""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, Router, get
from litestar.params import FromPath
from litestar.types import Guard

from admin_ui.errors import console_errors
from admin_ui.pages.audit import audit_page
from admin_ui.pages.dashboard import dashboard_page
from admin_ui.pages.images import image_pages
from admin_ui.pages.jobs import job_pages
from admin_ui.pages.keys import keys_page
from admin_ui.pages.system import system_page
from admin_ui.pages.trial import trial_page
from admin_ui.parts import Parts
from admin_ui.pictures import picture_handlers
from admin_ui.rendering import HEADERS, Pages
from service.errors import NotFound
from service.handlers.guards import session_cookies
from service.ranges import shorten

__all__ = ["console_router"]


def console_router(parts: Parts, guards: Sequence[Guard]) -> Router:
    """Build the routes.

    Args:
        parts: What the pages show.
        guards: Who may come in; the login page is for everybody.
    """
    pages = Pages()

    @get("/login", name="console-login")
    async def login(request: Request[Any, Any, Any]) -> Response[Any]:
        """The login page, or the way in for who is logged in already."""
        target = _inside(request.query_params.get("next", ""))
        for value in session_cookies(request.scope)[:1]:
            if await parts.access.session_user(value) is not None:
                return Response(
                    b"", status_code=303, headers={"Location": target, "Cache-Control": "no-store"}
                )
        return pages.page(request, "login.html", {"target": target})

    @get("/phrases", name="console-phrases")
    async def phrases(request: Request[Any, Any, Any]) -> Response[dict[str, object]]:
        """What the API may answer, in the page's language: for the scripts, the login's among them."""
        return Response(pages.phrases(request).for_scripts(), headers=HEADERS)

    @get("/{rest:path}")
    async def nowhere(rest: FromPath[str]) -> None:
        """Every other address: a page that says so."""
        raise NotFound(f"there is no page /admin{shorten(rest, 200)}")

    inside = Router(
        "/",
        route_handlers=[
            dashboard_page(pages, parts),
            keys_page(pages, parts),
            trial_page(pages, parts),
            *image_pages(pages, parts),
            *job_pages(pages, parts),
            *picture_handlers(parts),
            audit_page(pages, parts),
            system_page(pages, parts),
        ],
        guards=guards,
    )
    return Router(
        "/admin",
        route_handlers=[login, phrases, inside, nowhere],
        exception_handlers=console_errors(pages, sessions=parts.database is not None),
        include_in_schema=False,
    )


def _inside(target: str) -> str:
    """Where to go after the login: a page of the console, whatever the address of this page says."""
    own = target == "/admin" or target.startswith(("/admin/", "/admin?"))
    return target if own and target.isprintable() and "\\" not in target else "/admin"
