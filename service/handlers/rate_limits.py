"""Rate limits per client address: 429 before the body is read, and ``RateLimit-*`` on every limited answer."""

from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.access.limits import LimitName, RateLimits
from service.access.verdicts import Verdict
from service.errors import TooManyRequests
from service.handlers.client import client_address
from service.handlers.openapi import RATE_LIMIT_HEADERS
from service.settings import variable_name

__all__ = ["RateLimit", "add_rate_limit_headers"]

_STATE: Final = "rate_limit"


class RateLimit(ASGIMiddleware):
    """One of the limits."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, limits: RateLimits, name: LimitName) -> None:
        """Ask `limits` for the one of `name`."""
        self._limits = limits
        self._name = name

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through, or refuse it."""
        verdict = await self._limits.check(self._name, client_address(scope))
        scope["state"][_STATE] = verdict
        if not verdict.allowed:
            seconds = f"{verdict.reset_seconds} second{'' if verdict.reset_seconds == 1 else 's'}"
            raise TooManyRequests(
                f"too many requests from this address: {self._name} allows {verdict.rate} "
                f"({variable_name(f'rate_limit_{self._name}')}); retry after {seconds}",
                {"Retry-After": str(verdict.reset_seconds)},
            )
        await next_app(scope, receive, send)


async def add_rate_limit_headers(message: Message, scope: Scope) -> None:
    """Say what is left of the limit: a hook on every answer, errors included."""
    if message["type"] != "http.response.start":
        return
    verdict: Verdict | None = scope["state"].get(_STATE)
    if verdict is None:
        return
    values = (verdict.limit, verdict.remaining, verdict.reset_seconds)
    message["headers"] = [
        *message["headers"],
        *(
            (name.lower().encode(), str(value).encode())
            for name, value in zip(RATE_LIMIT_HEADERS, values, strict=True)
        ),
    ]
