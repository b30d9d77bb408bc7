"""A log of another program as a table: each metric's last value, with its curve in one line."""

from __future__ import annotations

from math import isfinite

from alexplore.core.inert import inert_line
from alexplore.render.bars import BARS
from alexplore.render.fitted_table import Column, FittingTable
from alexplore.runs.curves import Curve
from alexplore.runs.foreign import ForeignSnapshot

BAR_CELLS = 24


def value_text(value: float) -> str:
    """Return a value of a metric whose unit is not known."""
    return f"{value:.5g}"


def foreign_table(snapshot: ForeignSnapshot) -> FittingTable:
    """Return a row for each metric of a log."""
    table = FittingTable(
        Column("metric", left=True), Column("last"), Column("step", rank=1), Column("lowest", rank=3),
        Column("highest", rank=3), Column("over the steps", rank=2, left=True),
    )  # fmt: skip
    for metric in snapshot.metrics:
        finite = [value for value in metric.curve.values if isfinite(value)]
        ends = (value_text(min(finite)), value_text(max(finite))) if finite else ("–", "–")
        name = inert_line(metric.name)
        table.add(name, value_text(metric.value), f"{metric.step:,}", *ends, bars(metric.curve))
    return table


def bars(curve: Curve, cells: int = BAR_CELLS) -> str:
    """Return a curve as a row of bars, each the last finite value up to its step; "" without values."""
    points = [(x, y) for x, y in zip(curve.epochs, curve.values, strict=True) if isfinite(y)]
    if not points:
        return ""
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = points[0][0], points[-1][0]
    row, index = [], 0
    for cell in range(cells):
        place = first + (last - first) * cell / (cells - 1)
        while index + 1 < len(points) and points[index + 1][0] <= place:
            index += 1
        share = (points[index][1] - low) / (high - low) if high > low else 0.0
        row.append(BARS[min(len(BARS) - 1, int(share * len(BARS)))])
    return "".join(row)
