"""API keys over HTTP: making them, asking with them, and what the admin sees of them."""

import re
from typing import Any

import httpx

from tests.pictures import encoded, scene
from tests.server import Server

__all__ = ["ACCESS", "ADMIN", "DETECT", "FIELDS", "KEYS", "SMALL", "ask", "facts", "make", "printed_key"]

ADMIN = httpx.BasicAuth("admin", "secret")
KEYS = "/api/v1/admin/api-keys"
DETECT = "/api/v1/detect"
SMALL = encoded(scene(), "PNG")
ACCESS = {
    "API_KEY_ENABLED": "true",
    "ADMIN_USER": "admin",
    "ADMIN_PASSWORD": "secret",
    "RATE_LIMIT_LOGIN": "1000000/minute",
    # A burst is refused as too many at once otherwise.
    "MAX_CONCURRENT_REQUESTS": "100",
}
FIELDS = {
    "id",
    "name",
    "key_prefix",
    "key_suffix",
    "key_preview",
    "is_active",
    "request_count",
    "last_used_at",
    "created_at",
    "expires_at",
    "daily_quota",
    "used_today",
}


def make(server: Server, **fields: Any) -> dict[str, Any]:
    """Make a key over HTTP."""
    answer = httpx.post(server.origin + KEYS, json={"name": "test", **fields}, auth=ADMIN, trust_env=False)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def ask(server: Server, key: str | None, **headers: str) -> httpx.Response:
    """Detect, over a connection of its own, so that any process may answer."""
    given = {"X-API-Key": key} if key is not None else {}
    return httpx.post(
        server.origin + DETECT,
        content=SMALL,
        headers={"Content-Type": "image/png", **given, **headers},
        trust_env=False,
        timeout=30,
    )


def facts(server: Server, key_id: str) -> dict[str, Any]:
    """A key as the admin sees it."""
    found: dict[str, Any] = httpx.get(f"{server.origin}{KEYS}/{key_id}", auth=ADMIN, trust_env=False).json()
    return found


def printed_key(server: Server) -> str | None:
    """The key that the first start printed."""
    found = re.search(r"^API key.*(xyl_[0-9a-f]{48})$", server.stdout, re.MULTILINE)
    return found.group(1) if found else None
