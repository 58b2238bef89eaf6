"""Rows of results: what is promised, what was reached; as a table, Markdown and JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.worker import Timing

__all__ = [
    "Row",
    "Target",
    "judged",
    "lost",
    "print_table",
    "reference",
    "verdict",
    "write_json",
    "write_markdown",
]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One contender in one case.

    Attributes:
        suite: Name of the suite.
        case: What is done.
        contender: Who does it.
        median_ms: Median time of one call, ms; null where something else than time is measured.
        ratio: Reference's median over this one's, both of this run, or a limit over what was measured: more is
            better. Null for a reference itself.
        target: Ratio promised; null where none is, also where this machine lacks what the promise needs.
        ok: Whether the target is met; null where there is none.
        floor: Ratio below which a quick run fails although the target is higher; null where the target itself counts.
        reason: Why the target is or may be missed; null where there is nothing to say.
        spread_ms: First and third quartile of the time, ms.
        peak_mb: Most memory that the contender's process ever held, MB.
        figure: What else was measured, with its unit, or is to be known about the contender.
    """

    suite: str
    case: str
    contender: str
    median_ms: float | None = None
    ratio: float | None = None
    target: float | None = None
    ok: bool | None = None
    floor: float | None = None
    reason: str | None = None
    spread_ms: tuple[float, float] | None = None
    peak_mb: float | None = None
    figure: str | None = None


class Target(msgspec.Struct, frozen=True):
    """A promise: the first contender is at least ``ratio`` times as fast as the other.

    Attributes:
        ratio: What is promised.
        floor: What a quick run must still reach, on any machine and however busy; None for the promise itself.
        reason: Why the promise is not always kept, if so.
    """

    ratio: float
    floor: float | None = None
    reason: str | None = None


def reference(suite: str, case: str, contender: str, timing: Timing) -> Row:
    """A row that others are compared with."""
    return Row(
        suite=suite, case=case, contender=contender, median_ms=round(timing.median_ms, 4), **_extra(timing)
    )


def judged(
    suite: str, case: str, contender: str, timing: Timing, against: Timing, target: Target | None
) -> Row:
    """A row whose ratio, the reference's median over its own, is held against a target, if there is one."""
    ratio = against.median_ms / timing.median_ms
    return verdict(
        suite, case, contender, ratio, target, median_ms=round(timing.median_ms, 4), **_extra(timing)
    )


def verdict(suite: str, case: str, contender: str, ratio: float, target: Target | None, **fields: Any) -> Row:
    """A row with this ratio; `fields` are more fields of the row."""
    return Row(
        suite=suite,
        case=case,
        contender=contender,
        ratio=round(ratio, 3),
        target=target.ratio if target else None,
        ok=ratio >= target.ratio if target else None,
        floor=target.floor if target else None,
        reason=target.reason if target else None,
        **fields,
    )


def _extra(timing: Timing) -> dict[str, Any]:
    spread = round(timing.low_ms, 4), round(timing.high_ms, 4)
    return {"spread_ms": spread, "peak_mb": timing.peak_mb, "figure": timing.note}


def lost(rows: Iterable[Row], *, quick: bool) -> list[Row]:
    """Rows that fail the run: a target missed; in a quick run a floor missed, where a row has one."""
    return [row for row in rows if row.ok is False and not (quick and _above_floor(row))]


def _above_floor(row: Row) -> bool:
    return row.floor is not None and row.ratio is not None and row.ratio >= row.floor


_TITLES = ("suite", "case", "contender", "median ms", "quartiles", "peak MB", "ratio", "target", "")
_RIGHT = {"median ms", "quartiles", "peak MB", "ratio", "target"}


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows for people, and what there is to say about those that miss their target."""
    table = Table()
    for title in _TITLES:
        table.add_column(title, justify="right" if title in _RIGHT else "left")
    for row in rows:
        table.add_row(*_cells(row))
    # A pipe has no width of its own: without one rich would fold the cells at 80 columns.
    console = Console()
    Console(width=None if console.is_terminal else 150).print(table)
    for note in _notes(rows):
        print(note)


def write_markdown(rows: Sequence[Row], path: Path) -> None:
    """Write the same table as Markdown.

    Raises:
        OSError: If the file cannot be written.
    """
    lines = [_TITLES, ["--:" if title in _RIGHT else "---" for title in _TITLES], *map(_cells, rows)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(f"\n- {note}" for note in _notes(rows))
    path.write_text(table + notes + ("\n" if notes else ""), encoding="utf-8")


def _cells(row: Row) -> list[str]:
    return [
        row.suite,
        row.case,
        row.contender if row.figure is None else f"{row.contender}: {row.figure}",
        "" if row.median_ms is None else _digits(row.median_ms),
        "" if row.spread_ms is None else f"{_digits(row.spread_ms[0])} to {_digits(row.spread_ms[1])}",
        "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.target is None else f"≥ {row.target:g}",
        {None: "", True: "ok", False: "MISSED"}[row.ok],
    ]


def _digits(ms: float) -> str:
    return f"{ms:.3f}" if ms < 1 else f"{ms:.2f}"


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    for row in rows:
        if row.ok is False:
            floor = "" if row.floor is None else f" (a quick run fails below {row.floor:g})"
            reason = f": {row.reason}" if row.reason else ""
            notes.append(
                f"missed{floor}: {row.case}, {row.contender}, {row.ratio}, target {row.target:g}{reason}"
            )
    return notes


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write ``{"results": [...]}``.

    Raises:
        OSError: If the file cannot be written.
    """
    results = [msgspec.to_builtins(row) for row in rows]
    path.write_text(json.dumps({"results": results}, indent=2) + "\n", encoding="utf-8")
