"""JSON bodies become checked structs; every refusal names the field, the value and what is expected."""

from typing import Any, TypeVar, get_type_hints

import msgspec
from litestar import Request
from msgspec import inspect as mi

from service import ranges
from service.errors import RequestError

__all__ = ["read_json"]

S = TypeVar("S", bound=msgspec.Struct)


async def read_json(
    request: Request[Any, Any, Any], struct: type[S], *, secret: frozenset[str] = frozenset()
) -> S:
    """Read the body of a request.

    A browser sends a form of a foreign site without asking, but not a body of this type.

    Args:
        request: The request; its body has not been read.
        struct: What to build; its annotations are the types and ranges.
        secret: Fields whose values no message may show.

    Raises:
        RequestError: Not JSON, not an object, an unknown or missing field, or a wrong value.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise RequestError(
            f"Content-Type is '{ranges.shorten(content_type)}': expected application/json"
            if content_type
            else "Content-Type is missing: expected application/json"
        )
    try:
        body = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError("the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise RequestError(f"the body is {_shown(body)}: expected a JSON object")
    return _convert(body, struct, secret)


def _convert(body: dict[str, Any], struct: type[S], secret: frozenset[str]) -> S:
    info = mi.type_info(struct)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{struct} is not a struct")
    annotations = get_type_hints(struct, include_extras=True)
    fields = {field.name: field for field in info.fields}
    for name in body:
        if name not in fields:
            guess = ranges.nearest(name, fields)
            hint = f"did you mean {guess}?" if guess else f"known fields: {', '.join(fields)}"
            raise RequestError(f"unknown field '{ranges.shorten(name)}'; {hint}")
    for name, field in fields.items():
        if name in body:
            try:
                msgspec.convert(body[name], annotations[name])
            except (msgspec.ValidationError, OverflowError):
                value = "***" if name in secret else _shown(body[name])
                raise RequestError(f"{name}={value}: expected {_expected(field.type)}") from None
        elif field.required:
            raise RequestError(f"{name} is missing: expected {_expected(field.type)}")
    return struct(**body)


def _expected(type_: mi.Type) -> str:
    if isinstance(type_, mi.UnionType):
        words = [
            ranges.describe(member) for member in type_.types if isinstance(member, mi.Metadata | mi.BoolType)
        ]
        return " or ".join(
            [*words, "null"] if any(isinstance(m, mi.NoneType) for m in type_.types) else words
        )
    return ranges.describe(type_)


def _shown(value: Any) -> str:
    return ranges.shorten(msgspec.json.encode(value).decode())
