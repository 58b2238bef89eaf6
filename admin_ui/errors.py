"""Errors of the console: a page for a browser, a redirect to the login, one sentence for a script."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from admin_ui.rendering import Pages
from service.errors import FaceApiError, NotAuthenticated
from service.handlers.errors import EXCEPTION_HANDLERS, error_response

__all__ = ["console_errors", "login_address"]


def console_errors(pages: Pages, *, sessions: bool) -> ExceptionHandlersMap:
    """The exception handlers of the console's routes.

    Args:
        pages: What renders.
        sessions: Whether somebody can log in; without a database the browser asks for the password itself.
    """

    def own(request: Request[Any, Any, Any], error: FaceApiError) -> Response[Any]:
        if isinstance(error, NotAuthenticated) and sessions:
            return _to_login(request)
        return _shown(request, error.status, error.detail, error.headers)

    def of_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        # The service's own handler has the words, and writes what is unexpected into the log.
        answer = EXCEPTION_HANDLERS[HTTPException](request, error)
        return _shown(request, answer.status_code or 500, answer.content.detail, {})

    def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        answer = EXCEPTION_HANDLERS[Exception](request, error)
        return _shown(request, answer.status_code or 500, answer.content.detail, {})

    def _shown(
        request: Request[Any, Any, Any], status: int, detail: str, headers: Mapping[str, str]
    ) -> Response[Any]:
        detail = pages.phrases(request).say(detail)
        if request.headers.get("hx-request") == "true":
            return error_response(detail, status, headers)
        context = {"status": status, "detail": detail}
        return pages.page(request, "error.html", context, status=status, headers=headers)

    return {FaceApiError: own, HTTPException: of_litestar, Exception: unexpected, 500: unexpected}


def login_address(request: Request[Any, Any, Any]) -> str:
    """The login page, which leads back to where the request was going."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return "/admin/login" if here == "/admin" else f"/admin/login?next={quote(here)}"


def _to_login(request: Request[Any, Any, Any]) -> Response[Any]:
    address = login_address(request)
    if request.headers.get("hx-request") == "true":
        return error_response("log in again", 401, {"HX-Redirect": address, "Cache-Control": "no-store"})
    return Response(
        b"", status_code=303, headers={"Location": address, "Cache-Control": "no-store", "Vary": "HX-Request"}
    )
