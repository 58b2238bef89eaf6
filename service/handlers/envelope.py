"""What every exchange has, whatever answers it: a request id, the security headers, one line in the log, metrics.

An ASGI application around the whole application, so that 404, 405 and pre-flight answers have it too.
"""

import asyncio
import logging
import uuid
from time import perf_counter
from typing import Final, cast

import msgspec
from litestar.enums import ScopeType
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    Scope,
    Send,
)

from service.handlers.activity import count_answer
from service.handlers.afterwards import run_afterwards
from service.logs import REQUEST_ID
from service.metrics import Metrics
from service.ranges import shorten
from service.schemas.health import ErrorResponse
from service.storage.activity_counter import ActivityCounter

__all__ = ["SECURITY_HEADERS", "Envelope"]

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), microphone=()",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
}

_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

# A client that is still sending reads our refusal only if we take in some of the rest.
_DRAIN_BYTES: Final = 64 * 2**20
_DRAIN_SECONDS: Final = 2.0

logger = logging.getLogger("service.access")


class Envelope:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, activity: ActivityCounter) -> None:
        """Wrap `app`; count in `metrics` and `activity`."""
        self._app = app
        self._metrics = metrics
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope["state"]["request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        exchange = _Exchange(scope, receive, send, request_id, self._activity)
        # What can be read can be asked for without its body; load balancers do.
        inner = cast("Scope", {**scope, "method": "GET"}) if scope["method"] == "HEAD" else scope
        self._metrics.started()
        try:
            try:
                await self._app(inner, exchange.receive, exchange.send)
            finally:
                self._metrics.finished(inner, scope["method"], exchange.status, exchange.seconds())
                run_afterwards(inner)
            await exchange.drain()
        finally:
            exchange.log()
            REQUEST_ID.reset(token)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, scope: HTTPScope, receive: Receive, send: Send, request_id: str, activity: ActivityCounter
    ) -> None:
        self._scope = scope
        self._activity = activity
        self._receive = receive
        self._send = send
        self._id = request_id.encode()
        self._started = perf_counter()
        self.status = 0
        self._bytes_out = 0
        headers = dict(scope["headers"])
        self._client_id = headers.get(b"x-request-id")
        self._body_taken = (
            headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers
        )
        self._disconnected = False
        self._plain_refusal: HTTPResponseStartEvent | None = None

    async def receive(self) -> HTTPReceiveMessage:
        message = cast("HTTPReceiveMessage", await self._receive())
        if message["type"] == "http.request" and not message.get("more_body"):
            self._body_taken = True
        elif message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_plain_refusal(message):
            self._plain_refusal = message
            return
        if message["type"] == "http.response.body" and self._plain_refusal is not None:
            start, message = _as_json(self._plain_refusal, message)
            self._plain_refusal = None
            await self.send(start)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # Before the client has the answer: whoever looks at the figures then finds it in them.
            count_answer(self._activity, self._scope, self.status)
            own = {name for name, _ in _HEADERS} | {b"x-request-id"}
            headers = [(name, value) for name, value in message["headers"] if name.lower() not in own]
            headers += [*_HEADERS, (b"x-request-id", self._id)]
            if not self._body_taken:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            if self._scope["method"] == "HEAD":
                message = {**message, "body": b""}
            self._bytes_out += len(message["body"] or b"")
        await self._send(message)

    async def drain(self) -> None:
        """After an early refusal take in what is under way, within bounds, so that the client can read the answer."""
        taken = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not (self._body_taken or self._disconnected) and taken < _DRAIN_BYTES:
                    message = await self.receive()
                    taken += len(message["body"]) if message["type"] == "http.request" else 0
        except TimeoutError:
            pass

    def seconds(self) -> float:
        return perf_counter() - self._started

    def log(self) -> None:
        client = self._scope.get("client")
        logger.info(
            "%s %s %s",
            self._scope["method"],
            shorten(self._scope["path"], 200),
            self.status or "-",
            extra={
                "status": self.status or None,
                "duration_ms": round(self.seconds() * 1000, 2),
                "response_bytes": self._bytes_out,
                "client": client[0] if client else None,
                "client_request_id": (
                    shorten(self._client_id.decode("latin-1"), 100) if self._client_id is not None else None
                ),
                "disconnected": True if self._disconnected and not self.status else None,
            },
        )


def _is_plain_refusal(message: HTTPResponseStartEvent) -> bool:
    """Litestar refuses a pre-flight request with a line of text, below every exception handler."""
    kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
    return message["status"] >= 400 and any(kind.startswith(b"text/plain") for kind in kinds)


def _as_json(
    start: HTTPResponseStartEvent, body: HTTPResponseBodyEvent
) -> tuple[HTTPResponseStartEvent, HTTPResponseBodyEvent]:
    """The same refusal in the one shape of every error."""
    content = msgspec.json.encode(ErrorResponse(body["body"].decode(errors="replace")))
    replaced = {b"content-type": b"application/json", b"content-length": str(len(content)).encode()}
    headers = [(name, replaced.get(name.lower(), value)) for name, value in start["headers"]]
    return {**start, "headers": headers}, {**body, "body": content}
