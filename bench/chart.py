"""Latency against concurrency as an SVG that reads on a light and on a dark page."""

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

__all__ = ["write_chart"]

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 176, 44, 52

# Told apart by colour and by dash; readable on white and on near-black.
_LINES: Final = (
    ("#d9480f", ""),
    ("#1c7ed6", ""),
    ("#0ca678", ""),
    ("#868e96", "6 4"),
    ("#868e96", "2 4"),
)
_STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #212529 }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #ced4da; stroke-width: 1 }
  .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e9ecef }
    .grid { stroke: #495057 }
    .page { fill: #16191d }
  }
"""


def write_chart(medians: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw the median latency of each contender, both axes logarithmic.

    Args:
        medians: Contender to clients to median latency in ms; the same numbers of clients for all.
        path: The SVG file.

    Raises:
        OSError: If the file cannot be written.
    """
    clients = sorted(next(iter(medians.values())))
    values = [value for each in medians.values() for value in each.values()]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    floor, ceiling = math.log10(low), math.log10(high)

    def x(number: int) -> float:
        span = math.log2(clients[-1] / clients[0]) or 1
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log2(number / clients[0]) / span

    def y(ms: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (math.log10(ms) - floor) / (ceiling - floor)

    parts = [
        f'<text class="title" x="{_LEFT}" y="24">detect 1920 × 1080, median latency by clients</text>',
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">clients at once</text>',
        f'<text x="14" y="{_TOP - 8}">ms</text>',
    ]
    parts += [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in (base * step for base in _decades(low, high) for step in (1, 2, 5))
        if tick <= high
    ]
    parts += [
        f'<text x="{x(number):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{number}</text>'
        for number in clients
    ]
    labels = _apart([(y(each[clients[-1]]), name) for name, each in medians.items()])
    for (name, each), (colour, dash) in zip(medians.items(), _LINES, strict=False):
        points = " ".join(f"{x(number):.1f},{y(each[number]):.1f}" for number in clients)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
        )
        parts += [
            f'<circle cx="{x(number):.1f}" cy="{y(each[number]):.1f}" r="3.5" fill="{colour}"><title>'
            f"{escape(name)}, {number}: {each[number]:.1f} ms</title></circle>"
            for number in clients
        ]
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 10}" y="{labels[name] + 4:.1f}" style="fill:{colour}">{escape(name)}</text>'
        )
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Median latency of detect by number of clients">\n<style>{_STYLE}</style>\n'
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _decades(low: float, high: float) -> list[float]:
    count = round(math.log10(high / low))
    return [low * 10**power for power in range(count + 1)]


def _apart(labels: list[tuple[float, str]]) -> dict[str, float]:
    """Heights of the labels, none on top of another."""
    placed: dict[str, float] = {}
    last = -math.inf
    for height, name in sorted(labels):
        last = max(height, last + 16)
        placed[name] = last
    return placed
