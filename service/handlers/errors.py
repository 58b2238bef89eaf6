"""Every error becomes ``{"detail": "…"}``, for every status."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from service.errors import FaceApiError
from service.ranges import shorten
from service.schemas.health import ErrorResponse

__all__ = ["EXCEPTION_HANDLERS", "error_response"]

logger = logging.getLogger(__name__)


def error_response(
    detail: str, status: int, headers: Mapping[str, str] | None = None
) -> Response[ErrorResponse]:
    """The one shape of every error, also where the handler would have answered with something other than JSON."""
    return Response(
        ErrorResponse(detail), status_code=status, headers=dict(headers or {}), media_type=MediaType.JSON
    )


def _own(request: Request[Any, Any, Any], error: FaceApiError) -> Response[ErrorResponse]:
    # For the metrics. Not the error itself: it would keep all that its traceback refers to.
    request.scope["state"]["error"] = type(error)
    return error_response(error.detail, error.status, error.headers)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorResponse]:
    """Litestar's own errors: unknown paths, wrong methods, bodies that do not fit a struct."""
    status = HTTPStatus(error.status_code)
    match status:
        case HTTPStatus.NOT_FOUND:
            detail = error.detail if error.detail != status.phrase else _no_such_path(request)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"{request.method} is not allowed on {shorten(request.url.path)}"
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return _unexpected(request, error)
        case _:
            detail = error.detail
    return error_response(detail, status, error.headers)


def _no_such_path(request: Request[Any, Any, Any]) -> str:
    return f"there is nothing at {shorten(request.url.path, 200)}; see /docs for the API"


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorResponse]:
    logger.exception("unexpected error", exc_info=error)
    request_id = request.scope["state"].get("request_id", "unknown")
    return error_response(
        f"internal error; the log has more under the request id {request_id}",
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    FaceApiError: _own,
    HTTPException: _http,
    Exception: _unexpected,
    HTTPStatus.INTERNAL_SERVER_ERROR: _unexpected,
}
