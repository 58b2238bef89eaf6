"""What tests that attack the admin's access have in common."""

import base64
from collections.abc import Mapping

import httpx

from tests.admin import ACCESS, COOKIE, LOGIN
from tests.server import Server

__all__ = ["BEHIND_PROXY", "RIGHT", "WRONG", "ask", "basic", "session_of"]

RIGHT = {"username": "admin", "password": "secret"}
WRONG = {"username": "admin", "password": "wrong"}
# Loopback stands for the proxy; what it forwards is the client.
BEHIND_PROXY = {**ACCESS, "TRUSTED_PROXIES": "127.0.0.1"}


def ask(
    server: Server, method: str, path: str, headers: Mapping[str, str], json: object = None
) -> httpx.Response:
    """One request over a connection of its own, so that any process may answer."""
    return httpx.request(
        method, server.origin + path, headers=dict(headers), json=json, trust_env=False, timeout=30
    )


def basic(text: str | bytes) -> dict[str, str]:
    """The header of Basic credentials."""
    raw = text if isinstance(text, bytes) else text.encode()
    return {"Authorization": f"Basic {base64.b64encode(raw).decode()}"}


def session_of(server: Server, headers: Mapping[str, str]) -> str:
    """Log in, and return the session's cookie."""
    answer = ask(server, "POST", LOGIN, headers, RIGHT)
    assert answer.status_code == 204, answer.text
    value: str = answer.cookies[COOKIE]
    return value
