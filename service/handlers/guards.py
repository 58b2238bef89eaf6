"""Who may use the admin endpoints: HTTP Basic or the session cookie; and no foreign page with the browser's cookie."""

import base64
import binascii
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Guard, Receive, Scope, Send

from service.access.admin import AdminAccess
from service.errors import Forbidden, NotAuthenticated, RequestError
from service.handlers.client import client_address

__all__ = [
    "SESSION_COOKIE",
    "Admin",
    "LockedOut",
    "admin_guard",
    "admin_of",
    "challenge",
    "refuse_foreign_pages",
    "session_cookies",
]

SESSION_COOKIE: Final = "face_api_session"

_STATE: Final = "admin"
_SAFE_METHODS: Final = {"GET", "HEAD", "OPTIONS"}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Admin(msgspec.Struct, frozen=True):
    """The admin of a request.

    Attributes:
        username: Their name.
        address: Where the request comes from.
    """

    username: str
    address: str


def admin_guard(access: AdminAccess) -> Guard:
    """A guard that lets the admin in, and leaves who it is in the request's state."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        scope = connection.scope
        address = client_address(scope)
        try:
            username = await _identify(access, scope, address)
        except NotAuthenticated as error:
            raise NotAuthenticated(error.detail, {"WWW-Authenticate": challenge(scope)}) from None
        scope["state"][_STATE] = Admin(username, address)

    return guard


def admin_of(scope: Scope) -> Admin:
    """Who the guard let in."""
    admin: Admin = scope["state"][_STATE]
    return admin


class LockedOut(ASGIMiddleware):
    """Refuses addresses that are locked, before anything else is asked."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, access: AdminAccess) -> None:
        """Ask `access`."""
        self._access = access

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through, or refuse it."""
        await self._access.lockout.check(client_address(scope))
        await next_app(scope, receive, send)


async def _identify(access: AdminAccess, scope: Scope, address: str) -> str:
    credentials = _basic_credentials(scope)
    if credentials is not None:
        return await access.check_basic(*credentials, address)
    cookies = session_cookies(scope)
    if len(cookies) > 1:
        # One of them may be planted by a page of a neighbouring host name.
        raise RequestError(f"the request carries {len(cookies)} different cookies {SESSION_COOKIE}; send one")
    if cookies:
        username = await access.session_user(cookies[0])
        if username is None:
            raise NotAuthenticated("the session has ended, or is not known; log in again")
        refuse_foreign_pages(scope)
        return username
    raise NotAuthenticated("admin credentials are required: HTTP Basic, or a session from auth/login")


def _basic_credentials(scope: Scope) -> tuple[str, str] | None:
    """User and password of HTTP Basic (RFC 7617); None without them.

    Raises:
        RequestError: There are several Authorization headers: which counts is not for us to guess.
        NotAuthenticated: It cannot be read.
    """
    values = _values(scope, b"authorization")
    if len(values) > 1:
        raise RequestError(f"the request carries {len(values)} Authorization headers; send one")
    scheme, _, token = values[0].strip().partition(b" ") if values else (b"", b"", b"")
    if scheme.lower() != b"basic":
        return None
    try:
        given = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        given = b""
    try:
        text = given.decode()
    except UnicodeDecodeError:
        # Python's requests and old browsers write Latin-1.
        text = given.decode("latin-1")
    username, colon, password = text.partition(":")
    if not colon:
        raise NotAuthenticated("the Authorization header is malformed: expected Basic base64(user:password)")
    return username, password


def session_cookies(scope: Scope) -> list[str]:
    """The different values of our cookie, in the order of the request."""
    found = {}
    for header in _values(scope, b"cookie"):
        for pair in header.split(b";"):
            name, _, value = pair.strip().partition(b"=")
            if name.decode("latin-1") == SESSION_COOKIE and value:
                found[value.strip(b'"').decode("latin-1")] = True
    return list(found)


def refuse_foreign_pages(scope: Scope) -> None:
    """Refuse a change that a page of another origin has the browser make.

    Browsers say where such a request comes from; programs send neither header, and hold no cookie of somebody else's.

    Raises:
        Forbidden: It comes from elsewhere.
    """
    if scope["type"] == ScopeType.HTTP and scope["method"] in _SAFE_METHODS:
        return
    sites = {value.strip().lower() for value in _values(scope, b"sec-fetch-site")}
    origins = [value.strip().decode("latin-1") for value in _values(scope, b"origin")]
    foreign = bool(sites - {b"same-origin", b"none"}) or not all(
        _is_own(origin, scope, same_origin=b"same-origin" in sites) for origin in origins
    )
    if foreign:
        raise Forbidden("a page of another origin may not do this with the admin's session")


def _is_own(origin: str, scope: Scope, *, same_origin: bool) -> bool:
    hosts = _values(scope, b"host")
    host = hosts[0].strip().decode("latin-1") if len(hosts) == 1 else ""
    try:
        theirs, ours = urlsplit(origin), urlsplit(f"//{host}")
        their_port, our_port = theirs.port, ours.port
    except ValueError:
        return False
    if theirs.scheme not in _DEFAULT_PORTS or not theirs.hostname or theirs.hostname != ours.hostname:
        return False
    if scope["scheme"] == "https" and theirs.scheme != "https":
        return False
    # Proxies often leave the port out of the host; then the browser's own word decides.
    if our_port is None and same_origin:
        return True
    default = _DEFAULT_PORTS[theirs.scheme]
    return (their_port or default) == (our_port or default)


def challenge(scope: Scope) -> str:
    """What to authenticate with.

    A script in a browser is not told of Basic: the browser would open a window of its own, and send what is typed there
    with every later request, also with those of foreign pages.
    """
    modes = {value.strip().lower() for value in _values(scope, b"sec-fetch-mode")}
    if modes - {b"navigate"}:
        return 'Session realm="Face API"'
    return 'Basic realm="Face API", charset="UTF-8"'


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
