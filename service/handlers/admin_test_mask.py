"""POST /api/v1/admin/test/mask: the admin's trial of mask. It answers JSON and records nothing."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, post
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import Guard

from service.handlers.openapi import ERRORS, upload_operation
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors
from service.handlers.picture_request import read_picture_request, run_mask
from service.handlers.runner import Runner
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.report import detect_response
from service.schemas.parameters import MaskParameters, default_parameters
from service.schemas.storage import Masking, MaskOutput, MaskResponse
from service.settings import Settings

__all__ = ["admin_test_mask_handler"]


def admin_test_mask_handler(
    settings: Settings,
    gates: Sequence[ASGIMiddleware],
    guards: Sequence[Guard],
    *,
    pipeline: Pipeline,
    runner: Runner,
    metrics: Metrics,
) -> HTTPRouteHandler:
    """Build the handler for these settings.

    Args:
        settings: The service's settings.
        gates: What may refuse a request before its body is read.
        guards: Who may come in.
        pipeline: What finds and masks the faces.
        runner: The threads that it runs in.
        metrics: Where pictures are counted.
    """
    defaults = default_parameters(MaskParameters, settings)

    @post(
        "/api/v1/admin/test/mask",
        status_code=200,
        middleware=gates,
        guards=guards,
        request_max_body_size=None,
        cache_control=CacheControlHeader(no_store=True),
        operation_class=upload_operation(MaskParameters, defaults),
        operation_id="testMask",
        summary="Try masking",
        tags=["Admin"],
        responses=admin_errors() | ERRORS,
        security=ADMIN_SECURITY,
    )
    async def test_mask(request: Request[Any, Any, Any]) -> MaskResponse:
        """Mask a picture: what detect answers, and the masked picture in base64. Works without storage."""
        asked = await read_picture_request(request, settings, MaskParameters, defaults)
        result = await run_mask(request, asked, pipeline, runner)
        metrics.masked("test_mask", result)
        parameters = asked.parameters
        answer = detect_response(
            result.detected,
            pipeline.detector,
            request_id=request.scope["state"]["request_id"],
            masked=result,
        )
        # A picture of some megabytes would hold up the event loop.
        text = await runner.run(request, lambda: base64.b64encode(result.picture).decode())
        return MaskResponse(
            **msgspec.structs.asdict(answer),
            masking=Masking(
                method=parameters.method,
                strength=parameters.strength,
                padding=parameters.padding,
                regions_masked=answer.summary.face_count,
            ),
            output=MaskOutput(
                format=parameters.format,
                quality=parameters.quality,
                size_bytes=len(result.picture),
                image_base64=text,
            ),
        )

    return test_mask
