"""Query and form parameters become a checked struct; every refusal names the parameter, the value and the range."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import inspect as mi

from service import ranges
from service.errors import RequestError

__all__ = ["read_parameters"]

S = TypeVar("S", bound=msgspec.Struct)


def read_parameters(
    struct: type[S],
    defaults: Mapping[str, Any],
    query: Iterable[tuple[str, str]],
    form: Iterable[tuple[str, str]] = (),
) -> S:
    """Read parameters that may stand in the query or in the form.

    Args:
        struct: What to build; its annotations are the types and ranges.
        defaults: Values of parameters that are not given.
        query: Names and values of the query string, in order.
        form: Names and values of the form, in order.

    Raises:
        RequestError: An unknown name, an empty or wrong value, or two different values for one name.
    """
    types, annotations = _fields(struct)
    texts: dict[str, str] = {}
    for name, text in (*query, *form):
        if name not in types:
            raise RequestError(_unknown(name, types))
        if texts.setdefault(name, text) != text:
            raise RequestError(
                f"{name} is given twice with different values: "
                f"'{ranges.shorten(texts[name])}' and '{ranges.shorten(text)}'"
            )
    values = dict(defaults)
    for name, text in texts.items():
        expected = ranges.describe(types[name])
        if not text:
            raise RequestError(f"{name} is empty: expected {expected}")
        try:
            values[name] = ranges.parse(text, types[name], annotations[name])
        except ValueError:
            raise RequestError(f"{name}='{ranges.shorten(text)}': expected {expected}") from None
    return struct(**values)


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    shown = ranges.shorten(name)
    if name == "image":
        return "image must be a file in a multipart form, or the request's body; not a parameter"
    guess = ranges.nearest(name, known)
    hint = f"did you mean {guess}?" if guess else f"known parameters: {', '.join(known)}"
    return f"unknown parameter '{shown}'; {hint}"


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[dict[str, mi.Type], dict[str, Any]]:
    info = mi.type_info(struct)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{struct} is not a struct")
    return {field.name: field.type for field in info.fields}, get_type_hints(struct, include_extras=True)
