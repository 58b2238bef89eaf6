"""The effective settings as a table to show: value, source, default and meaning, secrets masked."""

import re
from typing import Any, Final

import msgspec
from msgspec import inspect as mi

from service.ranges import describe
from service.settings import Settings, SettingsReport, variable_name

__all__ = ["SettingRow", "masked", "setting_rows"]

# Greedy up to the last @: a password may hold @ and / that its owner forgot to escape.
_URL_PASSWORD: Final = re.compile(r"^([a-z][a-z0-9+.-]*://[^:@/?#]*):.*@", re.IGNORECASE | re.DOTALL)
_QUERY_SECRET: Final = re.compile(r"([?&;][^=&;]*(?:pass|secret|token|key)[^=&;]*=)[^&;#]*", re.IGNORECASE)


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One setting.

    Attributes:
        name: Its variable.
        value: What is in effect, masked if it is a secret.
        source: ``environment`` or ``default``.
        default: Without the variable.
        allowed: What it may be, in words.
        meaning: What it does.
    """

    name: str
    value: Any
    source: str
    default: Any
    allowed: str
    meaning: str


def masked(value: Any, *, secret: bool) -> Any:
    """A value as it may be shown: of a URL only its password is hidden, of another secret everything."""
    if not isinstance(value, str) or not value:
        return value
    if "://" in value:
        return _QUERY_SECRET.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", value))
    return "***" if secret else value


def setting_rows(report: SettingsReport) -> list[SettingRow]:
    """Every setting, in the order in which they are declared."""
    fields: tuple[mi.Field, ...] = mi.type_info(Settings).fields  # type: ignore[attr-defined]  # a struct's info has fields
    return [_row(field, report) for field in fields]


def _row(field: mi.Field, report: SettingsReport) -> SettingRow:
    data = field.type if isinstance(field.type, mi.Metadata) else None
    secret = bool(data and (data.extra or {}).get("secret"))
    return SettingRow(
        name=variable_name(field.name),
        value=masked(getattr(report.settings, field.name), secret=secret),
        source="environment" if field.name in report.given else "default",
        default=field.default,
        allowed=describe(field.type),
        meaning=str((data.extra_json_schema or {}).get("description", "")) if data else "",
    )
