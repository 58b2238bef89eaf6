"""The admin's access over HTTP: where it is, an admin, and who is logged in."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.server import Server

__all__ = [
    "ACCESS",
    "ADMIN",
    "AUDIT",
    "COOKIE",
    "LOGIN",
    "LOGOUT",
    "PASSWORD",
    "SESSION",
    "browser",
    "status",
]

ADMIN = "/api/v1/admin"
LOGIN, SESSION, LOGOUT = (f"{ADMIN}/auth/{name}" for name in ("login", "session", "logout"))
AUDIT = f"{ADMIN}/audit"
COOKIE = "face_api_session"
PASSWORD = "secret"  # noqa: S105  # the reference's example
ACCESS = {"ADMIN_USER": "admin", "ADMIN_PASSWORD": PASSWORD, "RATE_LIMIT_LOGIN": "1000000/minute"}


@contextmanager
def browser(server: Server, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """A client that is logged in, and opens a connection for each request, so that any process may answer."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=server.origin, trust_env=False, timeout=30, limits=limits) as client:
        answer = client.post(LOGIN, json={"username": "admin", "password": password})
        assert answer.status_code == 204, answer.text
        yield client


def status(server: Server, password: str) -> int:
    """The status that a question with Basic credentials gets."""
    return httpx.get(server.origin + SESSION, auth=("admin", password), trust_env=False).status_code
