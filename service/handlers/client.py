"""The client's address and scheme in the scope of every request, as trusted proxies tell them.

It lies right inside the envelope, so that the log, rate limits, lock-outs and cookies all see the same client.
"""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from service.access.proxies import TrustedProxies

__all__ = ["ClientOrigin", "client_address"]


class ClientOrigin:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        """Wrap `app`; believe `proxies`."""
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == ScopeType.HTTP:
            peer = scope["client"] or (None, 0)
            origin = self._proxies.origin(peer[0], scope["scheme"], scope["headers"])
            scope["client"] = (origin.address, peer[1] if origin.address == peer[0] else 0)
            scope["scheme"] = origin.scheme
        await self._app(scope, receive, send)


def client_address(scope: Scope) -> str:
    """The address that limits and the log know the client by."""
    client = scope["client"]
    return client[0] if client else "unknown"
