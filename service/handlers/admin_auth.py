"""The admin's endpoints of the session."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.openapi.datastructures import ResponseSpec

from service.access.admin import AdminAccess
from service.errors import NotAuthenticated
from service.handlers.client import client_address
from service.handlers.guards import (
    SESSION_COOKIE,
    LockedOut,
    admin_guard,
    admin_of,
    refuse_foreign_pages,
    session_cookies,
)
from service.handlers.json_body import read_json
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors, json_operation, session_operation
from service.schemas.admin import AdminSessionResponse, LoginRequest

__all__ = ["admin_auth_handlers"]

_PATH = "/api/v1/admin/auth"
_TAGS = ["Admin"]
_NO_STORE = CacheControlHeader(no_store=True)
_MAX_BODY_BYTES = 16_384
# The name too: people type passwords there.
_SECRET = frozenset({"username", "password"})


def admin_auth_handlers(
    access: AdminAccess, session_ttl: int, limit: ASGIMiddleware
) -> list[HTTPRouteHandler]:
    """Build the handlers; without a router, which would copy the limit, counts and all.

    Args:
        access: Who may come in.
        session_ttl: Seconds that the cookie lives.
        limit: The rate limit of logins.
    """

    @post(
        f"{_PATH}/login",
        tags=_TAGS,
        cache_control=_NO_STORE,
        operation_id="logIn",
        summary="Open an admin session",
        status_code=204,
        operation_class=session_operation(
            json_operation(LoginRequest, {"username": "admin", "password": "secret"}), opens=True
        ),
        responses=_errors(400, 401, 429, 501, 503),
        # A locked address is told so, and for how long, rather than to come back in a minute.
        middleware=[LockedOut(access), limit],
        request_max_body_size=_MAX_BODY_BYTES,
        security=[],
    )
    async def log_in(request: Request[Any, Any, Any]) -> Response[None]:
        """Log in with user name and password; the answer sets the session's cookie.

        Ten failures in a row lock the address for 15 minutes, for HTTP Basic too.
        """
        access.sessions()
        body = await read_json(request, LoginRequest, secret=_SECRET)
        try:
            value = await access.log_in(
                body.username, body.password, client_address(request.scope), session_cookies(request.scope)
            )
        except NotAuthenticated as error:
            raise NotAuthenticated(error.detail, {"WWW-Authenticate": 'Session realm="Face API"'}) from None
        return _with_cookie(request, value, session_ttl)

    @get(
        f"{_PATH}/session",
        tags=_TAGS,
        cache_control=_NO_STORE,
        operation_id="getSession",
        summary="Who is logged in",
        responses=_errors(400, 401, 429, 501, 503),
        guards=[admin_guard(access)],
        security=ADMIN_SECURITY,
    )
    async def get_session(request: Request[Any, Any, Any]) -> AdminSessionResponse:
        """The admin of the session, or of HTTP Basic."""
        return AdminSessionResponse(authenticated=True, username=admin_of(request.scope).username)

    @post(
        f"{_PATH}/logout",
        tags=_TAGS,
        cache_control=_NO_STORE,
        operation_id="logOut",
        summary="End the admin session",
        status_code=204,
        operation_class=session_operation(opens=False),
        responses=_errors(403, 503),
        request_max_body_size=_MAX_BODY_BYTES,
        security=[],
    )
    async def log_out(request: Request[Any, Any, Any]) -> Response[None]:
        """End the session, in every process. Without one there is nothing to do, and the answer is the same."""
        values = session_cookies(request.scope)
        if values:
            refuse_foreign_pages(request.scope)
            await access.log_out(values, client_address(request.scope))
        return _with_cookie(request, "", 0)

    return [log_in, get_session, log_out]


def _errors(*statuses: int) -> dict[int, ResponseSpec]:
    return {status: spec for status, spec in admin_errors(400, 403).items() if status in statuses}


def _with_cookie(request: Request[Any, Any, Any], value: str, max_age: int) -> Response[None]:
    cookie = Cookie(
        key=SESSION_COOKIE,
        value=value,
        path="/",
        max_age=max_age,
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return Response(None, status_code=204, cookies=[cookie])
