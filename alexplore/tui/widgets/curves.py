"""Plots of curves over epochs. Import it only where curves are shown: it loads numpy and the plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual_plot import HiResMode, LegendLocation, NumericAxisFormatter, PlotWidget

from alexplore.runs.curves import Curve

POINTS_A_COLUMN = 2
PADDING = 0.04  # of the values' range, above and below them
SINGLE_VALUE_PADDING = 0.01  # where all values are the same
LEAST_PADDING = 1e-9  # the least, also as a share of the largest value: floats are no closer than 1e-16 of it
LARGEST_DRAWN = 1e100  # larger values are drawn there: the plotting library can't calculate with those near 1e308


@dataclass(frozen=True)
class Line:
    """A curve with its name and colour; `marker` draws its points instead of a line."""

    label: str | None
    curve: Curve
    colour: str
    marker: str | None = None


@dataclass(frozen=True)
class Plot:
    """Lines from epoch 0 to `epochs`. A legend, if any, is below the lines where they are `rising`, else above them."""

    lines: Sequence[Line] = ()
    epochs: float = 1.0
    logarithmic: bool = False
    rising: bool = False
    legend: bool = True


class LinearFormatter(NumericAxisFormatter):
    """Formats an axis whose numbers would be longer than its margin with exponents."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Return the ticks as numbers."""
        labels = super().get_labels_for_ticks(ticks)
        return labels if max(map(len, labels), default=0) <= LONGEST_LABEL else [f"{tick:.3g}" for tick in ticks]


LONGEST_LABEL = 9


class LogFormatter(NumericAxisFormatter):
    """Formats an axis of logarithms: ticks at 1, 2 and 5 of each decade."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Return the logarithms of 1, 2 and 5 of each decade within the axis."""
        decades = range(math.floor(min_), math.ceil(max_) + 1)
        ticks = [math.log10(digit) + decade for decade in decades for digit in (1, 2, 5)]
        return [tick for tick in ticks if min_ <= tick <= max_][:max_ticks]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Return the values of the logarithms."""
        return [f"{10**tick:.2g}" for tick in ticks]


class Curves(PlotWidget):
    """A plot of a few lines over one axis of epochs; the vertical axis may be logarithmic."""

    DEFAULT_CSS = """
    Curves {
        border: round $frame;
        border-title-color: $text;
        min-height: 7;
        background: $background;
        &:focus { border: heavy $frame-focus; }
        .plot--axis { color: $frame; }
        .plot--tick, .plot--label { color: $faint; text-style: none; }
    }
    """

    margin_top = 0
    margin_bottom = 1
    margin_left = 7

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plot = Plot()

    def draw(self, plot: Plot) -> None:
        """Draw lines with at most two points a column."""
        self._plot = plot
        points = max(20, self.size.width * POINTS_A_COLUMN)
        self.set_y_formatter(LogFormatter() if plot.logarithmic else LinearFormatter())
        values: list[float] = []
        with self.app.batch_update():
            self.clear()
            for line in plot.lines:
                x, y = _coordinates(line.curve.thinned(points), plot.logarithmic)
                values += y
                if not x:
                    continue
                if line.marker or len(x) == 1:
                    self.scatter(x, y, marker=line.marker or "•", marker_style=line.colour, label=line.label)
                else:
                    self.plot(x, y, line_style=line.colour, hires_mode=HiResMode.BRAILLE, label=line.label)
            self.set_xlimits(0, plot.epochs * 1.03)
            self.set_ylimits(*padded_limits(values))
            corner = LegendLocation.BOTTOMRIGHT if plot.rising else LegendLocation.TOPRIGHT
            self.show_legend(corner, is_visible=plot.legend and any(line.curve.values for line in plot.lines))

    def on_resize(self) -> None:
        """Draw with as many points as the new width has room for."""
        if self._plot.lines:
            self.draw(self._plot)


def _coordinates(curve: Curve, logarithmic: bool) -> tuple[list[float], list[float]]:
    """Return the points that can be drawn: finite, and positive where the axis is logarithmic."""
    drawn = [
        (x, math.log10(min(y, LARGEST_DRAWN)) if logarithmic else max(-LARGEST_DRAWN, min(y, LARGEST_DRAWN)))
        for x, y in zip(curve.epochs, curve.values, strict=True)
        if math.isfinite(y) and (y > 0 or not logarithmic)
    ]
    return [x for x, _ in drawn], [y for _, y in drawn]


def padded_limits(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the limits of an axis on which every value is visible, (None, None) without values.

    The plotting library draws a value at the upper limit above its canvas, and gives equal values an axis of equal
    ticks.
    """
    if not values:
        return None, None
    low, high = min(values), max(values)
    least = LEAST_PADDING * max(1.0, abs(low), abs(high))
    padding = max(PADDING * (high - low) or SINGLE_VALUE_PADDING, least)
    return low - padding, high + padding
