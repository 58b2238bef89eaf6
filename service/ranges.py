"""Text to typed values, and words for what is allowed: shared by settings and request parameters.

A type is an annotation as msgspec reads it (``Annotated[float, Meta(ge=0, le=1)]``); this module is the one place
that turns such an annotation into "a number from 0 to 1" and a text into its value.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import inspect as mi

__all__ = ["describe", "nearest", "parse", "shorten"]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?([0-9]{1,19}(\.[0-9]{0,30})?|\.[0-9]{1,30})", re.ASCII)
_INT_MAX: Final = 2**31 - 1
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True} | {
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def shorten(value: str, limit: int = 60) -> str:
    """A client's text, safe to show in a one-line message: control characters escaped, cut at `limit`."""
    text = value if len(value) <= limit else value[:limit] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None if none is close."""
    matches = difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def describe(type_: mi.Type) -> str:
    """What a value of `type_` may be, in words: "an integer from 1 to 999", "one of: jpeg, png, webp"."""
    match type_:
        case mi.UnionType(types=members):
            return " or ".join(describe(member) for member in members if not isinstance(member, mi.NoneType))
        case mi.Metadata(type=inner):
            return describe(inner)
        case mi.LiteralType(values=values):
            return "one of: " + ", ".join(str(value) for value in values)
        case mi.BoolType():
            return "true or false"
        case mi.IntType(ge=low, le=high, multiple_of=step):
            return f"an integer{_span(low, high)}" + (f", a multiple of {step}" if step else "")
        case mi.FloatType(ge=low, le=high):
            return f"a number{_span(low, high)}"
        case mi.StrType(min_length=shortest, max_length=longest):
            if longest is not None:
                return f"a text of {shortest or 0} to {longest} characters"
            return "a text"
        case _:
            return "a value of another form"


def _span(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" up to {high:g}"
    if high is None:
        return f" of {low:g} or more"
    return f" from {low:.10g} to {high:.10g}"


def parse(text: str, type_: mi.Type, annotation: Any) -> Any:
    """Convert `text` to the annotated type.

    Numbers are plain decimals (no exponent, no ``inf``), ASCII digits only; integers end at 2³¹−1.

    Raises:
        ValueError: The text is not of the type or outside the range; :func:`describe` has the words for it.
    """
    value: Any = text
    match _plain(type_):
        case mi.BoolType():
            if (value := _BOOLEANS.get(text.lower())) is None:
                raise ValueError(text)
        case mi.IntType():
            if not _INTEGER.fullmatch(text) or abs(value := int(text)) > _INT_MAX:
                raise ValueError(text)
        case mi.FloatType():
            if not _DECIMAL.fullmatch(text):
                raise ValueError(text)
            value = float(text)
    try:
        return msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        raise ValueError(text) from error


def _plain(type_: mi.Type) -> mi.Type:
    if isinstance(type_, mi.Metadata):
        return _plain(type_.type)
    if isinstance(type_, mi.UnionType):
        return _plain(next(member for member in type_.types if not isinstance(member, mi.NoneType)))
    return type_
