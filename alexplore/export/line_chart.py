"""Curves as a picture in SVG, for a page that opens without a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from alexplore.runs.curves import Curve, CurveBuilder

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 32
"""Pixels of a chart, and of its margins, in which the axes are labelled."""

MOST_POINTS = 600
TICKS = 5


@dataclass(frozen=True)
class ChartLine:
    """A curve of a chart; `kind` is its class in the page's style sheet. One without a name has no entry in the key."""

    name: str
    curve: Curve
    kind: str


def line_chart(title: str, lines: Sequence[ChartLine], number: Callable[[float], str]) -> str:
    """Return a chart of curves over epochs as SVG; `number` writes a value. Without any value it is empty."""
    points = [(line, _points(line.curve)) for line in lines]
    every = [point for _, found in points for point in found]
    if not every:
        return ""
    low, high = min(y for _, y in every), max(y for _, y in every)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin
    end = max(x for x, _ in every) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + across * x / end, TOP + down * (high - y) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in ticks(low, high):
        _, y = place(0, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" text-anchor="end" x="{LEFT - 6}" y="{y + 4:.1f}">{escape(number(tick))}</text>'
        )
    for tick in ticks(0.0, end):
        x, _ = place(tick, low)
        parts.append(f'<text class="tick" text-anchor="middle" x="{x:.1f}" y="{HEIGHT - 12}">{tick:g}</text>')
    for line, found in points:
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in found))
        parts.append(f'<polyline class="{line.kind}" points="{places}"/>')
        if len(found) == 1:
            x, y = place(*found[0])
            parts.append(f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    parts.append("</svg>")
    key = " ".join(
        f'<span class="{line.kind}">■</span> {escape(line.name)} {escape(number(found[-1][1]))}'
        for line, found in points
        if line.name and found
    )
    return f"<figure><figcaption>{escape(title)} · {key}</figcaption>{''.join(parts)}</figure>"


def ticks(low: float, high: float) -> list[float]:
    """Return some round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / TICKS)) if span > 0 else 1.0
    step = next((factor * power for factor in (1, 2, 5) if span / (factor * power) <= TICKS), 10 * power)
    return [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _points(curve: Curve) -> list[tuple[float, float]]:
    """Return the finite points of a curve, thinned so that its extremes stay."""
    pairs = [
        (x, y)
        for x, y in zip(curve.epochs, curve.values, strict=True)
        if math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) < 1e300
    ]
    if len(pairs) <= MOST_POINTS:
        return pairs
    builder = CurveBuilder(MOST_POINTS)
    epochs, values = [x for x, _ in pairs], [y for _, y in pairs]
    builder.extend(range(len(pairs)), epochs, values, epochs)
    thin = builder.curve()
    return list(zip(thin.epochs, thin.values, strict=True))
