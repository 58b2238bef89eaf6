"""POST /api/v1/mask."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware

from service.handlers.afterwards import do_afterwards
from service.handlers.openapi import ERRORS, mask_operation
from service.handlers.openapi_access import KEY_ERRORS, KEY_SECURITY
from service.handlers.picture_request import read_picture_request, run_mask
from service.handlers.recording import id_headers, recording
from service.handlers.runner import Runner
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.report import detect_response
from service.schemas.detect import DetectResponse
from service.schemas.parameters import MaskParameters, default_parameters
from service.settings import Settings
from service.storage.archive import Archive

__all__ = ["mask_handler"]


def mask_handler(
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
    defaults = default_parameters(MaskParameters, settings)

    @post(
        "/api/v1/mask",
        status_code=200,
        middleware=gates,
        request_max_body_size=None,
        operation_class=mask_operation(MaskParameters, defaults),
        operation_id="mask",
        summary="Mask faces",
        tags=["Faces"],
        responses=ERRORS | KEY_ERRORS,
        security=KEY_SECURITY if settings.api_key_enabled else None,
    )
    async def mask(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Find the faces in a picture and make them unrecognisable; the answer is the picture, facts are in headers."""
        asked = await read_picture_request(request, settings, MaskParameters, defaults)
        parameters = asked.parameters
        async with recording(
            archive,
            request,
            asked.upload,
            asked.watch,
            max_pixels=settings.max_image_pixels,
            result_format=parameters.format,
        ) as record:
            result = await run_mask(request, asked, pipeline, runner)
            do_afterwards(request.scope, lambda: metrics.masked("mask", result))
            answer = await record.finish(
                detect_response(
                    result.detected,
                    pipeline.detector,
                    request_id=request.scope["state"]["request_id"],
                    masked=result,
                ),
                picture=result.picture,
                parameters=parameters,
            )
        metrics.stored("mask", answer.profiling.storage_ms)
        return Response(
            result.picture,
            media_type=f"image/{parameters.format}",
            headers=_headers(answer, parameters.method),
        )

    return mask


def _headers(answer: DetectResponse, method: str) -> dict[str, str]:
    times = answer.profiling
    steps = {
        "decode": times.decode_ms,
        "preprocess": times.preprocess_ms,
        "inference": times.inference_ms,
        "postprocess": times.postprocess_ms,
        "mask": times.mask_ms,
        "encode": times.encode_ms,
        "storage": times.storage_ms,
        "total": times.total_ms,
    }
    return {
        "X-Face-Count": str(answer.summary.face_count),
        "X-Decode-Ms": str(times.decode_ms),
        "X-Inference-Ms": str(times.inference_ms),
        "X-Mask-Ms": str(times.mask_ms),
        "X-Encode-Ms": str(times.encode_ms),
        "X-Total-Ms": str(times.total_ms),
        "X-Model": times.model_name,
        "X-Image-Width": str(answer.image.width),
        "X-Image-Height": str(answer.image.height),
        "X-Blur-Method": method,
        "X-Det-Scale": str(times.det_scale),
        "Server-Timing": ", ".join(f"{step};dur={ms}" for step, ms in steps.items() if ms is not None),
        **id_headers(answer),
    }
