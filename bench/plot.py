"""Plots named series of points as SVG, with axes, ticks and a legend.

Needs no library, and the SVG has no script in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 220, 40, 50
COLOURS = ("#0b62a4", "#d1495b", "#2e8b57", "#e08e0b", "#6a4c93", "#008b8b", "#8c564b", "#4d4d4d", "#b5179e")


@dataclass(frozen=True)
class Series:
    """A named line through points, in their order."""

    name: str
    points: list[tuple[float, float]]


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Returns round numbers from `low` to `high`, about `count` of them."""
    span = high - low or 1.0
    step = 10 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9) * step
    return [first + index * step for index in range(int((high - first) / step + 1e-9) + 1)]


def plot(title: str, across: str, up: str, series: list[Series]) -> str:
    """Returns the text of the SVG file."""
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + wide * (x - low_x) / ((high_x - low_x) or 1),
            TOP + high * (1 - (y - low_y) / ((high_y - low_y) or 1)),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
    ]
    for tick in ticks(low_x, high_x):
        x, _ = place(tick, low_y)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + high}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + high + 16}" text-anchor="middle">{tick:g}</text>')
    for tick in ticks(low_y, high_y):
        _, y = place(low_x, tick)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + wide}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text x="14" y="{TOP - 8}">{escape(up)}</text>')
    for index, one in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in one.points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in (place(*point) for point in one.points)]
        y = TOP + 10 + 18 * index
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 9}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 30}" y="{y + 2}">{escape(one.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
