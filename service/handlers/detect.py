"""POST /api/v1/detect."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware

from service.handlers.afterwards import do_afterwards
from service.handlers.openapi import ERRORS, detect_operation
from service.handlers.openapi_access import KEY_ERRORS, KEY_SECURITY
from service.handlers.picture_request import read_picture_request, run_detect
from service.handlers.recording import id_headers, recording
from service.handlers.runner import Runner
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.report import detect_response
from service.schemas.detect import DetectResponse
from service.schemas.parameters import DetectParameters, default_parameters
from service.settings import Settings
from service.storage.archive import Archive

__all__ = ["detect_handler"]


def detect_handler(
    settings: Settings,
    gates: Sequence[ASGIMiddleware],
    archive: Archive | None,
    *,
    pipeline: Pipeline,
    runner: Runner,
    metrics: Metrics,
) -> HTTPRouteHandler:
    """Build the handler for these settings.

    Args:
        settings: The service's settings.
        gates: What may refuse a request before its body is read, first one first.
        archive: Where requests are recorded; None where storage is off.
        pipeline: What finds the faces.
        runner: The threads that it runs in.
        metrics: Where pictures are counted.
    """
    defaults = default_parameters(DetectParameters, settings)

    @post(
        "/api/v1/detect",
        status_code=200,
        middleware=gates,
        request_max_body_size=None,
        operation_class=detect_operation(DetectParameters, defaults),
        operation_id="detect",
        summary="Detect faces",
        tags=["Faces"],
        responses=ERRORS | KEY_ERRORS,
        security=KEY_SECURITY if settings.api_key_enabled else None,
    )
    async def detect(request: Request[Any, Any, Any]) -> Response[DetectResponse]:
        """Find the faces in a picture: boxes, landmarks, confidence, and how long each step took."""
        asked = await read_picture_request(request, settings, DetectParameters, defaults)
        async with recording(
            archive, request, asked.upload, asked.watch, max_pixels=settings.max_image_pixels
        ) as record:
            result = await run_detect(request, asked, pipeline, runner)
            do_afterwards(request.scope, lambda: metrics.detected("detect", result))
            answer = await record.finish(
                detect_response(result, pipeline.detector, request_id=request.scope["state"]["request_id"])
            )
        metrics.stored("detect", answer.profiling.storage_ms)
        return Response(answer, headers=id_headers(answer))

    return detect
