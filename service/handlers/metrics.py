"""GET /metrics, for Prometheus."""

import asyncio
import hmac
from typing import Any, Final

from litestar import Response, get
from litestar.connection import ASGIConnection
from litestar.datastructures import CacheControlHeader
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Guard

from service.errors import NotAuthenticated
from service.handlers.openapi import plain_operation
from service.metrics import CONTENT_TYPE, Metrics
from service.schemas.health import ErrorResponse
from service.settings import Settings

__all__ = ["metrics_handler"]

_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="Face API metrics"'}


def metrics_handler(settings: Settings, metrics: Metrics) -> HTTPRouteHandler:
    """Build the handler; it asks for FACE_API_METRICS_TOKEN if that is set, and is open to everyone if not."""
    token = settings.metrics_token
    unauthorized = ResponseSpec(
        ErrorResponse, description="No token, or not that of FACE_API_METRICS_TOKEN.", generate_examples=False
    )

    @get(
        "/metrics",
        media_type=CONTENT_TYPE,
        guards=[_token_guard(token)] if token else None,
        operation_id="metrics",
        operation_class=plain_operation(),
        summary="Metrics",
        tags=["Health"],
        cache_control=CacheControlHeader(no_store=True),
        responses={401: unauthorized} if token else None,
        security=[{"MetricsToken": []}] if token else None,
    )
    async def read_metrics() -> Response[bytes]:
        """Counters, gauges and histograms of all server processes, in the text format of Prometheus."""
        await metrics.refresh()
        return Response(await asyncio.to_thread(metrics.render), media_type=CONTENT_TYPE)

    return read_metrics


def _token_guard(token: str) -> Guard:
    expected = token.encode()

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        scheme, _space, given = connection.headers.get("authorization", "").strip().partition(" ")
        # Headers are read as Latin-1, whatever was sent.
        known = hmac.compare_digest(given.strip().encode("latin-1"), expected)
        if not (known and scheme.lower() == "bearer"):
            raise NotAuthenticated("the metrics token is required, as Authorization: Bearer …", _CHALLENGE)

    return guard
