"""What the handlers' signatures cannot say: parameters in query and form, picture bodies, answer headers, examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, get_type_hints

import msgspec
from litestar import Response, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    License,
    OpenAPIFormat,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
    Tag,
)
from msgspec import inspect as mi

import service
from service.handlers.envelope import SECURITY_HEADERS
from service.handlers.errors import error_response
from service.schemas.examples import DETECT_EXAMPLE
from service.schemas.health import ErrorResponse

__all__ = [
    "ERRORS",
    "MASK_HEADERS",
    "RATE_LIMIT_HEADERS",
    "detect_operation",
    "mask_operation",
    "openapi_config",
    "plain_operation",
    "upload_operation",
]

MASK_HEADERS: Final = {
    "X-Face-Count": ("Number of faces masked", OpenAPIType.INTEGER),
    "X-Decode-Ms": ("Image decode time (ms)", OpenAPIType.NUMBER),
    "X-Inference-Ms": ("Model inference time (ms)", OpenAPIType.NUMBER),
    "X-Mask-Ms": ("Masking time (ms)", OpenAPIType.NUMBER),
    "X-Encode-Ms": ("Output encoding time (ms)", OpenAPIType.NUMBER),
    "X-Total-Ms": ("Total processing time (ms)", OpenAPIType.NUMBER),
    "X-Model": ("Model name", OpenAPIType.STRING),
    "X-Image-Width": ("Width of the upright picture (px)", OpenAPIType.INTEGER),
    "X-Image-Height": ("Height of the upright picture (px)", OpenAPIType.INTEGER),
    "X-Blur-Method": ("Masking method used", OpenAPIType.STRING),
    "X-Det-Scale": ("Detection scale factor: tensor px per px of the upright picture", OpenAPIType.NUMBER),
    "X-Image-Id": ("Image UUID (when storage is enabled)", OpenAPIType.STRING),
    "X-Job-Id": ("Job UUID (when storage is enabled)", OpenAPIType.STRING),
    "Server-Timing": ("The steps with their durations, for browsers' developer tools", OpenAPIType.STRING),
}

RATE_LIMIT_HEADERS: Final = {
    "RateLimit-Limit": (
        "Requests that the address may make within the window of the limit",
        OpenAPIType.INTEGER,
    ),
    "RateLimit-Remaining": ("Requests that are left of them", OpenAPIType.INTEGER),
    "RateLimit-Reset": ("Seconds until the oldest of them is forgotten", OpenAPIType.INTEGER),
}
_LIMIT_EXAMPLE: Final = (
    "too many requests from this address: detect allows 300 per 1 minute (FACE_API_RATE_LIMIT_DETECT); "
    "retry after 12 seconds"
)
# What is refused before the limit is asked does not tell of it.
_BEFORE_LIMIT: Final = {"401", "403", "503"}

_PICTURE_TYPES: Final = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
)

ERRORS: Final = {
    int(status): ResponseSpec(data_container=ErrorResponse, description=description, generate_examples=False)
    for status, description in (
        (
            HTTPStatus.BAD_REQUEST,
            "Bad request: a wrong parameter, no picture or two, an unknown, truncated, animated or undecodable "
            "picture, or one smaller than 10×10 px.",
        ),
        (
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "Payload too large: the picture exceeds FACE_API_MAX_IMAGE_BYTES or FACE_API_MAX_IMAGE_PIXELS.",
        ),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error; the message carries the request id only."),
        (
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Server busy: FACE_API_MAX_CONCURRENT_REQUESTS reached (retry after `Retry-After` seconds); or the model "
            "cannot run.",
        ),
    )
}

_ERROR_EXAMPLES: Final = {
    "400": "confidence='1.5': expected a number from 0.01 to 1",
    "413": "the picture has 26,214,400 bytes; at most 20,971,520 bytes are allowed (FACE_API_MAX_IMAGE_BYTES)",
    "500": "internal error; the log has more under the request id 550e8400-e29b-41d4-a716-446655440000",
    "503": "server busy: 10 of 10 requests in flight (FACE_API_MAX_CONCURRENT_REQUESTS); retry after 1 second",
}


@dataclass
class _DescribedOperation(Operation):
    """An operation whose answers carry the headers that every answer has."""

    def __post_init__(self) -> None:
        for status, response in (self.responses or {}).items():
            if not isinstance(response, OpenAPIResponse):
                continue
            headers: dict[str, Any] = {**(response.headers or {}), **_common_headers()}
            if status in ("429", "503"):
                headers["Retry-After"] = _header("Seconds to wait", OpenAPIType.INTEGER)
            if status == "401":
                headers["WWW-Authenticate"] = _header("What to authenticate with", OpenAPIType.STRING)
            response.headers = headers
            if status in _ERROR_EXAMPLES and response.content:
                for media in response.content.values():
                    media.examples = media.examples or {
                        "error": Example(value={"detail": _ERROR_EXAMPLES[status]})
                    }


def plain_operation() -> type[Operation]:
    """For handlers without parameters of their own."""
    return _DescribedOperation


def upload_operation(struct: type[msgspec.Struct], defaults: Mapping[str, Any]) -> type[Operation]:
    """For what takes a picture with parameters and has no rate limit."""

    @dataclass
    class UploadOperation(_DescribedOperation):
        def __post_init__(self) -> None:
            super().__post_init__()
            _describe_upload(self, struct, defaults, rate_limited=False)

    return UploadOperation


def detect_operation(struct: type[msgspec.Struct], defaults: Mapping[str, Any]) -> type[Operation]:
    """For detect: parameters, picture body and the reference's example."""

    @dataclass
    class DetectOperation(_DescribedOperation):
        def __post_init__(self) -> None:
            super().__post_init__()
            _describe_upload(self, struct, defaults)
            if isinstance(found := (self.responses or {}).get("200"), OpenAPIResponse):
                ids = {name: _header(*MASK_HEADERS[name]) for name in ("X-Image-Id", "X-Job-Id")}
                found.headers = {**(found.headers or {}), **ids}
            for media in _success(self).values():
                # Raw, since Litestar leaves the nulls out of a mapping.
                media.examples = {"one face": Example(value=msgspec.Raw(msgspec.json.encode(DETECT_EXAMPLE)))}

    return DetectOperation


def mask_operation(struct: type[msgspec.Struct], defaults: Mapping[str, Any]) -> type[Operation]:
    """For mask: parameters, picture body, and an answer that is a picture with headers."""

    @dataclass
    class MaskOperation(_DescribedOperation):
        def __post_init__(self) -> None:
            picture = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
            self.responses = {
                **(self.responses or {}),
                "200": OpenAPIResponse(
                    description="The masked picture, upright, without any metadata.",
                    headers={name: _header(*facts) for name, facts in MASK_HEADERS.items()},
                    content={
                        f"image/{kind}": OpenAPIMediaType(schema=picture) for kind in ("jpeg", "png", "webp")
                    },
                ),
            }
            super().__post_init__()
            _describe_upload(self, struct, defaults)

    return MaskOperation


def openapi_config(components: Components) -> OpenAPIConfig:
    """The document at /openapi.json; the pages that show it are static files of ours.

    Args:
        components: The security schemes.
    """
    return OpenAPIConfig(
        title="Face API",
        version=service.__version__,
        description=(
            "Finds the faces in a picture and makes them unrecognisable. Pictures are first turned upright (EXIF "
            "orientation); every coordinate is in px of the upright picture. "
            'Errors are `{"detail": "…"}` for every status.'
        ),
        components=components,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        tags=[
            Tag(name="Faces", description="Detect and mask."),
            Tag(name="Admin", description="Sessions of the admin, and what was done by them."),
            Tag(name="Stored pictures", description="What was stored, with FACE_API_STORAGE_ENABLED."),
            Tag(name="API keys", description="Who may detect and mask, and how often."),
            Tag(name="Health", description="For load balancers and orchestrators."),
        ],
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        openapi_router=Router(
            "/openapi.json", route_handlers=[], include_in_schema=False, after_request=_plain_not_found
        ),
        use_handler_docstrings=True,
    )


async def _plain_not_found(response: Response[Any]) -> Response[Any]:
    """Litestar's router answers unknown paths below the document with a page of HTML; ours are JSON everywhere."""
    if response.status_code == HTTPStatus.NOT_FOUND:
        return error_response("there is nothing below /openapi.json", HTTPStatus.NOT_FOUND)
    return response


def _describe_upload(
    operation: Operation,
    struct: type[msgspec.Struct],
    defaults: Mapping[str, Any],
    *,
    rate_limited: bool = True,
) -> None:
    limits = {name: _header(*facts) for name, facts in RATE_LIMIT_HEADERS.items()} if rate_limited else {}
    for status, response in (operation.responses or {}).items():
        if isinstance(response, OpenAPIResponse) and status not in _BEFORE_LIMIT:
            response.headers = {**(response.headers or {}), **limits}
            if status == "429":
                for media in (response.content or {}).values():
                    media.examples = {"error": Example(value={"detail": _LIMIT_EXAMPLE})}
    fields = _fields(struct, defaults)
    operation.parameters = [
        Parameter(
            name=name,
            param_in="query",
            required=False,
            description=schema.description,
            schema=schema,
            examples={"example": Example(value=schema.examples[0])} if schema.examples else None,
        )
        for name, schema in fields.items()
    ]
    binary = Schema(
        type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="JPEG, PNG, WebP, BMP or TIFF"
    )
    # The optional fields stand apart: Swagger UI would send a value of its own for each that stands beside the picture.
    form = Schema(
        type=OpenAPIType.OBJECT,
        properties={"image": binary},
        required=["image"],
        any_of=[Schema(type=OpenAPIType.OBJECT, properties=dict(fields))],
    )
    content = {"multipart/form-data": OpenAPIMediaType(schema=form)}
    content |= {media_type: OpenAPIMediaType(schema=binary) for media_type in _PICTURE_TYPES}
    operation.request_body = RequestBody(
        required=True,
        description=(
            "The picture: the field `image` of a multipart form, or the body itself. Parameters may stand in the query "
            "or in the form; the same name with different values is an error."
        ),
        content=content,
    )


def _fields(struct: type[msgspec.Struct], defaults: Mapping[str, Any]) -> dict[str, Schema]:
    info = mi.type_info(struct)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{struct} is not a struct")
    annotations = get_type_hints(struct, include_extras=True)
    schemas = {}
    for field in info.fields:
        default = defaults.get(field.name, None if field.default is msgspec.NODEFAULT else field.default)
        described = msgspec.json.schema(annotations[field.name])
        schemas[field.name] = Schema(
            type=OpenAPIType(described.get("type", "string")),
            enum=described.get("enum"),
            minimum=described.get("minimum"),
            maximum=described.get("maximum"),
            description=described.get("description"),
            examples=described.get("examples"),
            default=default,
        )
    return schemas


def _success(operation: Operation) -> dict[str, OpenAPIMediaType]:
    response = (operation.responses or {}).get("200")
    return dict(response.content or {}) if isinstance(response, OpenAPIResponse) else {}


def _common_headers() -> dict[str, OpenAPIHeader]:
    fixed = {
        name: _header(f"always `{value}`", OpenAPIType.STRING) for name, value in SECURITY_HEADERS.items()
    }
    return {"X-Request-Id": _header("Unique request UUID", OpenAPIType.STRING), **fixed}


def _header(description: str, type_: OpenAPIType) -> OpenAPIHeader:
    return OpenAPIHeader(description=description, schema=Schema(type=type_))
