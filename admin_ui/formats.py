"""How numbers, sizes and times are written in the console."""

from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

__all__ = ["FILTERS", "bar_share", "file_size", "number", "when"]

_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def number(value: float) -> str:
    """With commas between thousands."""
    return f"{value:,}"


def file_size(size: float) -> str:
    """In the largest unit that leaves at least 1: ``1.5 MB``. Units are powers of 1024."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"


def when(moment: str | datetime) -> Markup:
    """A ``<time>`` in UTC, which the page's script turns into the browser's own zone."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    moment = moment.astimezone(UTC)
    shown = moment.strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(timespec="seconds"), shown)


def bar_share(part: float, whole: float) -> int:
    """Whole percent of a bar, from 0 to 100."""
    return max(0, min(100, round(100 * part / whole))) if whole > 0 else 0


FILTERS: Final = {"number": number, "file_size": file_size, "when": when}
