"""Reading a request that carries a picture, and doing what it asks: the same for clients and for the admin's trial."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Request

from service.detection.detector import DetectionOptions
from service.handlers.activity import note_method
from service.handlers.parameters import read_parameters
from service.handlers.runner import Runner
from service.handlers.upload import Upload, read_upload
from service.imaging.mask import MaskOptions
from service.pipeline import DetectResult, EncodeOptions, MaskResult, Pipeline, Stopwatch
from service.schemas.parameters import DetectParameters, MaskParameters
from service.settings import Settings

__all__ = ["PictureRequest", "read_picture_request", "run_detect", "run_mask"]

P = TypeVar("P", bound=DetectParameters)


class PictureRequest(msgspec.Struct, Generic[P], frozen=True):
    """What was asked for.

    Attributes:
        upload: The picture.
        parameters: What to do with it.
        watch: Started when the body had arrived.
    """

    upload: Upload
    parameters: P
    watch: Stopwatch


async def read_picture_request(
    request: Request[Any, Any, Any], settings: Settings, struct: type[P], defaults: Mapping[str, Any]
) -> PictureRequest[P]:
    """Read parameters and picture; what is wrong in the query is refused before the body is read.

    Args:
        request: The request; its body must not have been read.
        settings: The service's settings.
        struct: The parameters.
        defaults: Values of parameters that are not given.

    Raises:
        FaceApiError: As `read_parameters` and `read_upload` do.
    """
    query = list(request.query_params.multi_items())
    read_parameters(struct, defaults, query)
    upload = await read_upload(request, settings.max_image_bytes)
    watch = Stopwatch()
    parameters = read_parameters(struct, defaults, query, upload.fields)
    if isinstance(parameters, MaskParameters):
        note_method(request.scope, parameters.method)
    return PictureRequest(upload, parameters, watch)


async def run_detect(
    request: Request[Any, Any, Any],
    asked: PictureRequest[DetectParameters],
    pipeline: Pipeline,
    runner: Runner,
) -> DetectResult:
    """Detect in a thread.

    Raises:
        FaceApiError: As :meth:`service.pipeline.Pipeline.detect` and :meth:`Runner.run` do.
    """
    options = _detection(asked.parameters)
    return await runner.run(request, lambda: pipeline.detect(asked.upload.image, options, asked.watch))


async def run_mask(
    request: Request[Any, Any, Any], asked: PictureRequest[MaskParameters], pipeline: Pipeline, runner: Runner
) -> MaskResult:
    """Detect, mask and encode in a thread.

    Raises:
        FaceApiError: As :meth:`service.pipeline.Pipeline.mask` and :meth:`Runner.run` do.
    """
    parameters = asked.parameters
    options = _detection(parameters)
    masking = MaskOptions(method=parameters.method, strength=parameters.strength, padding=parameters.padding)
    encoding = EncodeOptions(parameters.format, parameters.quality)
    return await runner.run(
        request, lambda: pipeline.mask(asked.upload.image, options, masking, encoding, asked.watch)
    )


def _detection(parameters: DetectParameters) -> DetectionOptions:
    return DetectionOptions(
        confidence=parameters.confidence,
        nms_threshold=parameters.nms_threshold,
        max_faces=parameters.max_faces,
    )
