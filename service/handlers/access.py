"""API keys on detect and mask: who asks, before the body is read; and the count, once nothing else refuses.

Two steps, so that a rate limit can stand between them: what it refuses uses up no quota.
"""

from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.access.keys import KeyRing, missing_key
from service.errors import RequestError

__all__ = ["QUOTA_HEADERS", "KeyAccounting", "KeyAuthentication", "credential_of"]

QUOTA_HEADERS: Final = ("X-Quota-Limit", "X-Quota-Remaining", "X-Quota-Reset")


class KeyAuthentication(ASGIMiddleware):
    """Finds the API key of a request and leaves it in its state; 401 and 403 without one that is good."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, keys: KeyRing) -> None:
        """Ask `keys`."""
        self._keys = keys

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through, or refuse it."""
        credential = credential_of(scope)
        if credential is None:
            raise missing_key()
        scope["state"]["api_key"] = await self._keys.identify(credential)
        await next_app(scope, receive, send)


class KeyAccounting(ASGIMiddleware):
    """Counts a request for its key, and says on the answer what is left of the key's quota; 429 when nothing is."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, keys: KeyRing) -> None:
        """Count with `keys`."""
        self._keys = keys

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through, or refuse it."""
        allowance = await self._keys.admit(scope["state"]["api_key"])
        if allowance is None:
            await next_app(scope, receive, send)
            return
        quota = [(name.lower().encode(), value.encode()) for name, value in allowance.headers.items()]

        async def send_with_quota(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *quota]}
            await send(message)

        await next_app(scope, receive, send_with_quota)


def credential_of(scope: Scope) -> bytes | None:
    """The API key that a request carries as ``X-API-Key`` or as a bearer token; None without one.

    Raises:
        RequestError: It carries two different ones: which of them counts is not for us to guess.
    """
    found = set()
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            found.add(value.strip())
        elif name == b"authorization":
            scheme, _, token = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                found.add(token.strip())
    found.discard(b"")
    if len(found) > 1:
        raise RequestError(
            "the request carries two different API keys, in X-API-Key and Authorization; send one"
        )
    return found.pop() if found else None
