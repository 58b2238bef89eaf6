"""What the API document says of keys, admin access and pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, get_type_hints

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from msgspec import inspect as mi

from service.handlers.openapi import plain_operation
from service.schemas.health import ErrorResponse
from service.schemas.pages import PageParameters

__all__ = [
    "ADMIN_SECURITY",
    "KEY_ERRORS",
    "KEY_SECURITY",
    "SECURITY_COMPONENTS",
    "admin_errors",
    "json_operation",
    "page_operation",
    "session_operation",
]

KEY_SECURITY: Final[list[dict[str, list[str]]]] = [{"ApiKey": []}, {"Bearer": []}]
ADMIN_SECURITY: Final[list[dict[str, list[str]]]] = [{"Basic": []}, {"Session": []}]

SECURITY_COMPONENTS: Final = Components(
    security_schemes={
        "ApiKey": SecurityScheme(
            type="apiKey", name="X-API-Key", security_scheme_in="header", description="An API key."
        ),
        "Bearer": SecurityScheme(type="http", scheme="Bearer", description="An API key as a bearer token."),
        "MetricsToken": SecurityScheme(
            type="http", scheme="Bearer", description="FACE_API_METRICS_TOKEN as a bearer token."
        ),
        "Basic": SecurityScheme(type="http", scheme="Basic", description="User and password of the admin."),
        "Session": SecurityScheme(
            type="apiKey",
            name="face_api_session",
            security_scheme_in="cookie",
            description="The cookie that `POST /api/v1/admin/auth/login` sets.",
        ),
    }
)


def _error(description: str, detail: str) -> ResponseSpec:
    return ResponseSpec(
        data_container=ErrorResponse,
        description=description,
        generate_examples=False,
        examples=[Example(value={"detail": detail})],
    )


KEY_ERRORS: Final = {
    int(HTTPStatus.UNAUTHORIZED): _error("No API key, or one that is not known.", "the API key is not known"),
    int(HTTPStatus.FORBIDDEN): _error("The API key is revoked or expired.", "this API key has been revoked"),
    int(HTTPStatus.TOO_MANY_REQUESTS): _error(
        "A limit is used up; retry after `Retry-After` seconds. A key with a daily quota has `X-Quota-Limit`, "
        "`X-Quota-Remaining` and `X-Quota-Reset` (seconds) on every answer.",
        "the daily quota of this API key is used up: 1000 of 1000 requests; it starts anew at midnight UTC, "
        "in 3600 seconds",
    ),
}

_ADMIN_ERRORS: Final = {
    HTTPStatus.BAD_REQUEST: (
        "A wrong parameter, or a body that is not what is expected.",
        "name=5: expected a text of 1 to 100 characters",
    ),
    HTTPStatus.UNAUTHORIZED: (
        "No admin credentials, or wrong ones.",
        "admin credentials are required",
    ),
    HTTPStatus.FORBIDDEN: (
        "A change that a page of another origin makes with the session's cookie.",
        "a page of another origin may not do this with the admin's session",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "The address is locked after ten failed logins, or logs in too often; retry after `Retry-After` seconds.",
        "too many failed logins from this address; locked for another 14 minutes 3 seconds",
    ),
    HTTPStatus.NOT_FOUND: (
        "There is nothing of that id.",
        "there is no API key with the id '550e8400-e29b-41d4-a716-446655440000'",
    ),
    HTTPStatus.NOT_IMPLEMENTED: (
        "No database is configured (FACE_API_DATABASE_URL=none).",
        "API keys need a database, and FACE_API_DATABASE_URL is none",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The database cannot be reached, or its disk is full; retry after `Retry-After` seconds.",
        "the database cannot be reached; try again in a moment",
    ),
}


def admin_errors(*more: int) -> dict[int, ResponseSpec]:
    """The errors that every admin endpoint has, and others where asked for."""
    statuses = sorted(
        {
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.NOT_IMPLEMENTED,
            HTTPStatus.SERVICE_UNAVAILABLE,
            *more,
        }
    )
    return {int(status): _error(*_ADMIN_ERRORS[HTTPStatus(status)]) for status in statuses}


def json_operation(struct: type[msgspec.Struct], example: Mapping[str, Any]) -> type[Operation]:
    """For handlers that read a JSON body themselves.

    Args:
        struct: What the body becomes.
        example: A body, as the API reference shows it.
    """
    body = _object_schema(struct)

    @dataclass
    class JsonOperation(plain_operation()):  # type: ignore[misc]  # a class made by a function
        def __post_init__(self) -> None:
            super().__post_init__()
            self.request_body = RequestBody(
                required=True,
                content={
                    "application/json": OpenAPIMediaType(
                        schema=body, examples={"reference": Example(value=dict(example))}
                    )
                },
            )

    return JsonOperation


def session_operation(base: type[Operation] | None = None, *, opens: bool) -> type[Operation]:
    """For handlers that set the session's cookie, or take it back.

    Args:
        base: What else to describe.
        opens: Whether a session is opened.
    """
    value = "…" if opens else '""'
    age = "43200" if opens else "0"

    @dataclass
    class SessionOperation(base or plain_operation()):  # type: ignore[misc]  # a class made by a function
        def __post_init__(self) -> None:
            super().__post_init__()
            answer = self.responses["204"]
            answer.description = "The session is open." if opens else "There is no session any more."
            answer.headers = {
                **(answer.headers or {}),
                "Set-Cookie": OpenAPIHeader(
                    description="The session's cookie; `Secure` as well where the client came by TLS.",
                    schema=Schema(
                        type=OpenAPIType.STRING,
                        examples=[
                            f"face_api_session={value}; HttpOnly; Max-Age={age}; Path=/; SameSite=strict"
                        ],
                    ),
                ),
            }

    return SessionOperation


def page_operation(extra: type[msgspec.Struct] = PageParameters) -> type[Operation]:
    """For lists that come page by page.

    Args:
        extra: The query parameters.
    """
    properties = {
        name: _without_null(schema)
        for name, schema in (_object_schema(extra).properties or {}).items()
        if isinstance(schema, Schema)
    }

    @dataclass
    class PageOperation(plain_operation()):  # type: ignore[misc]  # a class made by a function
        def __post_init__(self) -> None:
            super().__post_init__()
            self.parameters = [
                Parameter(
                    name=name,
                    param_in="query",
                    required=False,
                    description=schema.description,
                    schema=schema,
                )
                for name, schema in properties.items()
            ]

    return PageOperation


def _object_schema(struct: type[msgspec.Struct]) -> Schema:
    info = mi.type_info(struct)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{struct} is not a struct")
    annotations = get_type_hints(struct, include_extras=True)
    properties: dict[str, Reference | Schema] = {}
    for field in info.fields:
        schema = _schema(msgspec.json.schema(annotations[field.name]))
        if field.default not in (msgspec.NODEFAULT, msgspec.UNSET, None):
            schema.default = field.default
        properties[field.name] = schema
    return Schema(
        type=OpenAPIType.OBJECT,
        description=(struct.__doc__ or "").strip(),
        properties=properties,
        required=[field.name for field in info.fields if field.required] or None,
        additional_properties=False,
    )


def _without_null(schema: Schema) -> Schema:
    """A query has no null: it leaves the parameter out."""
    members = [
        member
        for member in schema.any_of or []
        if isinstance(member, Schema) and member.type != OpenAPIType.NULL
    ]
    return members[0] if len(members) == 1 else schema


def _schema(described: Mapping[str, Any]) -> Schema:
    """What msgspec says of a type, as Litestar writes it."""
    if members := described.get("anyOf"):
        return Schema(any_of=[_schema(member) for member in members])
    return Schema(
        type=OpenAPIType(described.get("type", "string")),
        enum=described.get("enum"),
        minimum=described.get("minimum"),
        maximum=described.get("maximum"),
        min_length=described.get("minLength"),
        max_length=described.get("maxLength"),
        description=described.get("description"),
        examples=described.get("examples"),
    )
