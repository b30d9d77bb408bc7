"""Plots of curves: the lines, the part that is shown, and the drawing as rows of characters."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

from alexplore.core.formatting import cut_middle
from alexplore.tui.axis import Axis, fitted_axis
from alexplore.tui.canvas import BLANK, Canvas, Cell

AXIS, TICK, BAND = "axis", "tick", "band"
"""The colours of everything but lines, which have the colours of their series."""

BEST = "◆"
NOW = "┊"
LINE = "─"  # shown before the name of a line without markers
NAMED_FROM = 30  # columns from which on names are at the ends of the lines
COLUMNS_A_TICK = 6
NAME_SHARE = 0.4  # the largest share of the width for names
LONGEST_NUMBER = 9
SMALLEST_SPAN = 1e-4  # the smallest share of the whole run that zooming shows
LARGEST_X = 1e15


@dataclass(frozen=True)
class Line:
    """A curve: points from left to right, `series` the name of its colour.

    Attributes:
        name: Shown at its end; "" for a line without a name.
        marker: Shown on the points; "" for a line without markers.
        joined: Whether the points are joined.
        best: Whether the highest point is marked as the best.
        note: Shown instead of its last value if it has no points.
        band: The lowest and the highest value around each point, drawn as an area.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    series: str
    marker: str = ""
    joined: bool = True
    best: bool = False
    note: str = ""
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Plot:
    """Lines over an axis from 0 to at least `end` in `unit`; `number` formats a value, `percent` is for shares.

    `now` is the place of a live training on the axis, which is marked; None for no mark.
    """

    lines: Sequence[Line] = ()
    end: float = 1.0
    unit: str = "epochs"
    percent: bool = False
    number: Callable[[float], str] = "{:.3f}".format
    now: float | None = None

    def value_text(self, value: float) -> str:
        """Return a value as text, with an exponent if it would be very long otherwise."""
        text = self.number(value)
        return text if len(text) <= LONGEST_NUMBER and "inf" not in text else f"{value:.3g}"

    @cached_property
    def drawn(self) -> Sequence[Points]:
        """The points of each line that can be drawn."""
        return [_finite_points(line) for line in self.lines]

    @cached_property
    def whole(self) -> tuple[float, float]:
        """The ends of the whole horizontal axis."""
        ends = [x for points in self.drawn if points.x for x in (points.x[0], points.x[-1])]
        left, right = min([0.0, *ends]), max([self.end, *ends])
        return (left, right) if right > left else (left, left + 1)


@dataclass(frozen=True)
class Points:
    """Finite points from left to right, with the band around each if there is one."""

    x: Sequence[float] = ()
    y: Sequence[float] = ()
    band: Sequence[tuple[float, float]] = ()


def _finite_points(line: Line) -> Points:
    band = line.band if len(line.band) == len(line.y) else [(value, value) for value in line.y] if line.band else ()
    usable = [
        index
        for index, (x, y) in enumerate(zip(line.x, line.y, strict=False))
        if math.isfinite(y) and abs(x) <= LARGEST_X
    ]
    x = [line.x[index] for index in usable]
    if any(after < before for before, after in pairwise(x)):
        usable.sort(key=lambda index: line.x[index])
        x = [line.x[index] for index in usable]
    return Points(x, [line.y[index] for index in usable], [band[index] for index in usable] if band else ())


@dataclass(frozen=True)
class View:
    """The part of a plot that is shown; None is the whole run. Values are read at the cursor `x`."""

    part: tuple[float, float] | None = None
    logarithmic: bool = False
    x: float | None = None

    def window(self, plot: Plot) -> tuple[float, float]:
        """Return the ends of the horizontal axis."""
        return self.part or plot.whole

    def zoomed(self, plot: Plot, factor: float, at: float | None = None) -> View:
        """Return the view of a part of the axis that is `factor` times as long, around `at` or else the cursor."""
        left, right = self.window(plot)
        first, last = plot.whole
        at = self.x if at is None else at
        if at is None or not left <= at <= right:
            at = (left + right) / 2
        span = (right - left) * factor
        if span >= (last - first) * 0.999:
            return replace(self, part=None)
        span = max(span, (last - first) * SMALLEST_SPAN)
        start = at - span * (at - left) / (right - left)
        return replace(self, part=_inside((start, start + span), plot.whole))

    def with_cursor(self, plot: Plot, x: float | None) -> View:
        """Return the view with the cursor at `x`, moved if needed to show the cursor."""
        left, right = self.window(plot)
        if x is None or self.part is None or left <= x <= right:
            return replace(self, x=x)
        span = right - left
        start = x - span / 4 if x > right else x - 3 * span / 4
        return replace(self, x=x, part=_inside((start, start + span), plot.whole))


def _inside(part: tuple[float, float], whole: tuple[float, float]) -> tuple[float, float]:
    """Return a part of the same length, moved inside the whole."""
    left = max(whole[0], min(part[0], whole[1] - (part[1] - part[0])))
    return left, left + part[1] - part[0]


@dataclass(frozen=True)
class Label:
    """The label at the end of a line: its marker, its last value and its name; `row` is the row of the line's end."""

    value: str
    name: str
    series: str
    row: int

    def fitted(self, width: int) -> str:
        """Return the label in at most `width` cells; long names, which differ at their ends, are cut in the middle."""
        room = width - len(self.value) - 1
        if room < 3:
            return self.value[:width]
        return f"{self.value} {cut_middle(self.name, room)}".strip()


@dataclass
class Drawing:
    """A part of a plot, drawn into rows of cells; the curves have `across` columns from the column `left` on."""

    plot: Plot
    view: View
    width: int
    height: int
    rows: list[list[Cell]] = field(default_factory=list)
    left: int = 0
    across: int = 0
    down: int = 0

    def __post_init__(self) -> None:
        self.window = self.view.window(self.plot)
        if self.width < 1 or self.height < 1:
            return
        self._shown = [self._clipped(points) for points in self.plot.drawn]
        self.axis = self._value_axis()
        ticked = self.height >= 4 and self.width >= 12
        self.down = self.height - 2 if ticked else self.height
        ticks = self.axis.ticks(max(2, self.down // 2)) if ticked else []
        texts = self.axis.labels(ticks)
        self.left = max(map(len, texts), default=0) + 3 if ticked else 0
        if self.left > self.width // 2:
            texts = ["" for _ in ticks]
            self.left = 2
        labels = self._labels() if self.width >= NAMED_FROM else []
        longest = max((len(label.fitted(10**6)) for label in labels), default=-1)
        beside = min(longest + 1, round(self.width * NAME_SHARE))
        self.across = self.width - self.left - beside
        canvas = Canvas(self.across, self.down)
        self._draw_lines(canvas)
        self.rows = [
            [*scale, *cells, *names]
            for scale, cells, names in zip(
                self._scale(ticks, texts) if ticked else [[] for _ in range(self.down)],
                canvas.rows(),
                self._beside(labels, beside),
                strict=True,
            )
        ]
        if not any(points.x for points in self.plot.drawn):
            self._show_no_values()
        if ticked:
            self._mark_now()
            self.rows += self._bottom(beside)

    # Places

    def column(self, x: float) -> int | None:
        """Return the column that shows `x`, None if it is not shown."""
        left, right = self.window
        if not self.across or not left <= x <= right:
            return None
        return self.left + self._dot_x(x) // 2

    def x_at(self, column: int) -> float:
        """Return the value at the middle of a column."""
        left, right = self.window
        share = (2 * (column - self.left) + 0.5) / max(1, 2 * self.across - 1)
        return left + (right - left) * max(0.0, min(1.0, share))

    def step(self, x: float | None, columns: int) -> float | None:
        """Return where the cursor at `x` goes when it moves by `columns` points in different columns.

        If there is no cursor, it goes to the last point. Outside the window it goes to the next point there.
        """
        xs = [points.x for points in self.plot.drawn if points.x]
        if not xs:
            return None
        if x is None:
            return max(part[-1] for part in xs)
        column, forward = self.column(x), columns > 0
        for _ in range(abs(columns)):
            following = [found for part in xs if (found := self._next(part, x, column, forward)) is not None]
            if not following:
                break
            x = min(following) if forward else max(following)
            column = self.column(x)
        return x

    def _next(self, xs: Sequence[float], x: float, column: int | None, forward: bool) -> float | None:
        """Return the nearest point before or after `x` that is not in its column."""
        index = bisect_right(xs, x) if forward else bisect_left(xs, x) - 1
        while 0 <= index < len(xs):
            if column is None or self.column(xs[index]) != column:
                return xs[index]
            index += 1 if forward else -1
        return None

    def readings(self, room: int, x: float | None = None) -> str:
        """Return the last value of each named line up to `x`, or else up to the cursor, in `room` characters.

        The place of a value is added if it is in an earlier column. If there is no room, names are replaced by markers,
        then the unit is left out, then the last lines. A level, such as that of chance, has no reading: its value
        stands at its end.
        """
        x = self.view.x if x is None else x
        if x is None:
            return ""
        unit, column = self.plot.unit.removesuffix("s"), self.column(x)
        values: list[tuple[Line, str]] = []
        for line, points in zip(self.plot.lines, self.plot.drawn, strict=True):
            index = bisect_right(points.x, x) - 1
            is_level = line.series == TICK and len(set(points.y)) == 1
            if line.name and index >= 0 and not is_level:
                at = f" at {points.x[index]:.4g}" if self.column(points.x[index]) != column else ""
                values.append((line, f"{self.plot.value_text(points.y[index])}{at}"))
        place, place_with_unit = f"{x:.4g}", f"{unit} {x:.4g}"
        named = [f"{line.name} {value}" for line, value in values]
        marked = [f"{line.marker or line.name} {value}" for line, value in values]
        fewer = ([place, *marked[:-left_out], f"+{left_out} more"] for left_out in range(1, len(values) + 1))
        ways = ([place_with_unit, *named], [place_with_unit, *marked], [place, *marked], *fewer)
        return next((text for text in map(" · ".join, ways) if len(text) <= room), "")

    def _dot_x(self, x: float) -> int:
        left, right = self.window
        return round((x - left) / (right - left) * (2 * self.across - 1))

    def _dot_y(self, y: float) -> int:
        return round((1 - self.axis.share(y)) * (4 * self.down - 1))

    # Points

    def _clipped(self, points: Points) -> Points:
        """Return the points in the window, and those where the line crosses its ends."""
        left, right = self.window
        start, end = bisect_left(points.x, left), bisect_right(points.x, right)
        if not points.x or (start == end and not 0 < start < len(points.x)):
            return Points()
        x, y, band = list(points.x[start:end]), list(points.y[start:end]), list(points.band[start:end])
        for edge, index, place in ((left, start, 0), (right, end, len(x) + 1)):
            if 0 < index < len(points.x) and points.x[index - 1] < edge < points.x[index]:
                share = (edge - points.x[index - 1]) / (points.x[index] - points.x[index - 1])
                x.insert(place, edge)
                y.insert(place, _between(points.y[index - 1], points.y[index], share))
                if points.band:
                    low, high = zip(points.band[index - 1], points.band[index], strict=True)
                    band.insert(place, (_between(*low, share), _between(*high, share)))
        return Points(x, y, band)

    def _value_axis(self) -> Axis:
        values = [value for points in self._shown for value in points.y]
        values += [value for points in self._shown for pair in points.band for value in pair]
        if self.view.logarithmic:
            values = [value for value in values if value > 0]
        ends = [min(values), max(values)] if values else []
        return fitted_axis(ends, logarithmic=self.view.logarithmic, percent=self.plot.percent)

    def _drawable(self, value: float) -> bool:
        return value > 0 or not self.view.logarithmic

    # Drawing

    def _draw_lines(self, canvas: Canvas) -> None:
        for points in self._shown:
            self._draw_band(canvas, points)
        for line, points in zip(self.plot.lines, self._shown, strict=True):
            crowded = len(points.x) > max(2, self.across // 2)
            if line.joined or crowded or not line.marker:
                self._draw_line(canvas, points, line.series)
        for line, points, every in zip(self.plot.lines, self._shown, self.plot.drawn, strict=True):
            self._draw_markers(canvas, line, points, every)

    def _draw_line(self, canvas: Canvas, points: Points, series: str) -> None:
        drawn = [(x, y) for x, y in _extremes(points.x, points.y, 4 * canvas.dots_across) if self._drawable(y)]
        dots = [(self._dot_x(x), self._dot_y(y)) for x, y in drawn]
        for start, end in pairwise(dots) if len(dots) > 1 else [(dots[0], dots[0])] if dots else []:
            canvas.line(start, end, series)

    def _draw_markers(self, canvas: Canvas, line: Line, shown: Points, every: Points) -> None:
        if not every.x:
            return
        left, right = self.window
        inside = [(x, y) for x, y in zip(every.x, every.y, strict=True) if left <= x <= right and self._drawable(y)]
        best = max(zip(every.x, every.y, strict=True), key=lambda point: point[1])
        if line.marker or len(every.x) == 1:
            if len(shown.x) > max(2, self.across // 2):
                inside = [point for point in inside if point in (best, inside[0], inside[-1])]
            for x, y in inside:
                canvas.mark(self._dot_x(x), self._dot_y(y), line.marker or "•", line.series)
        if line.best and left <= best[0] <= right and self._drawable(best[1]):
            canvas.mark(self._dot_x(best[0]), self._dot_y(best[1]), BEST, line.series)

    def _draw_band(self, canvas: Canvas, points: Points) -> None:
        for (x, (low, high)), (next_x, (next_low, next_high)) in pairwise(zip(points.x, points.band, strict=False)):
            first, last = self._dot_x(x), self._dot_x(next_x)
            for dot in range(first, last + 1):
                share = (dot - first) / max(1, last - first)
                bottom, top = _between(low, next_low, share), _between(high, next_high, share)
                if self._drawable(bottom):
                    for row in range(self._dot_y(top), self._dot_y(bottom) + 1):
                        if (dot + row) % 2 == 0:
                            canvas.dot(dot, row, BAND)

    def _scale(self, ticks: Sequence[float], texts: Sequence[str]) -> Iterator[list[Cell]]:
        """Yield the vertical axis: its labels and ticks beside each row of the curves."""
        labels: dict[int, str] = {}
        for tick, text in zip(ticks, texts, strict=True):
            labels.setdefault(self._dot_y(tick) // 4, text)
        for row in range(self.down):
            text = labels.get(row, "").rjust(self.left - 2)
            yield [*((character, TICK) for character in text), (" ", TICK), ("┤" if row in labels else "│", AXIS)]

    def _bottom(self, beside: int) -> list[list[Cell]]:
        """Return the horizontal axis and its labels, with the unit at its end."""
        axis = Axis(*self.window)
        ticks = axis.ticks(max(2, self.across // COLUMNS_A_TICK))
        texts = axis.labels(ticks)
        line, below = ["─"] * self.across, [" "] * (self.across + beside)
        right = self.left + self.across + beside
        unit = f" {self.plot.unit}"
        at_end = unit if beside >= len(unit) else ""
        room = self.across + beside if at_end else len(below) - len(unit)
        taken = -1
        for tick, text in zip(ticks, texts, strict=True):
            column = (self.column(tick) or self.left) - self.left
            start = max(0, min(column - len(text) // 2, room - len(text)))
            line[column] = "┬"
            if start > taken and start + len(text) <= room:
                below[start : start + len(text)] = text
                taken = start + len(text)
        start = max(taken, self.across) if at_end else len(below) - len(unit)
        if start + len(unit) <= len(below):
            below[start : start + len(unit)] = unit
        corner: list[Cell] = [*([BLANK] * (self.left - 1)), ("└", AXIS)]
        top = [*corner, *((character, AXIS) for character in line), *([BLANK] * beside)]
        bottom = [*([BLANK] * self.left), *((character, TICK) for character in below)]
        return [row[:right] for row in (top, bottom)]

    # Names

    def _labels(self) -> list[Label]:
        """Return the labels of the lines, and of a line's best point if it is not the last one."""
        labels = []
        for line, points in zip(self.plot.lines, self.plot.drawn, strict=True):
            if not line.name:
                continue
            mark = line.marker or LINE
            if not points.x:
                labels.append(
                    Label(mark, f"{line.name} · {line.note}" if line.note else line.name, line.series, self.down)
                )
                continue
            text = self.plot.value_text
            labels.append(Label(f"{mark} {text(points.y[-1])}", line.name, line.series, self._row(points.y[-1])))
            best = max(points.y)
            if line.best and best > points.y[-1]:
                labels.append(Label(f"{BEST} {text(best)}", "best", line.series, self._row(best)))
        return labels

    def _row(self, value: float) -> int:
        """Return the row of a value; the nearest row for a value outside the axis."""
        if not self._drawable(value):
            return self.down - 1
        return round(max(0.0, min(1.0, 1 - self.axis.share(value))) * (self.down - 1))

    def _beside(self, labels: Sequence[Label], width: int) -> list[list[Cell]]:
        """Return the labels to the right of the curves, each as near to its line's end as the others allow."""
        rows: list[list[Cell]] = [[BLANK] * width for _ in range(self.down)]
        ordered = sorted(labels, key=lambda label: label.row)
        if len(ordered) > self.down:
            left_out = len(ordered) - self.down + 1
            ordered = [*ordered[: self.down - 1], Label(f"+{left_out}", "more", TICK, self.down)]
        places = spread([label.row for label in ordered], self.down)
        for label, row in zip(ordered, places, strict=True):
            text = f" {label.fitted(width - 1)}".ljust(width)[:width]
            rows[row] = [(character, label.series) for character in text]
        return rows

    def _mark_now(self) -> None:
        """Mark the place of the training in the lowest row without a curve, with its name if a row has room for it."""
        now = self.plot.now
        column = self.column(now) if now is not None and now < self.window[1] else None
        if column is None:
            return
        for text in (f"{NOW} now", NOW):
            end = column + len(text)
            for row in reversed(self.rows):
                if end <= self.left + self.across and all(cell == BLANK for cell in row[column:end]):
                    row[column:end] = [(character, TICK) for character in text]
                    return

    def _show_no_values(self) -> None:
        text = "no values yet"
        start = self.left + max(0, self.across - len(text)) // 2
        row = self.rows[self.down // 2]
        if len(text) <= self.across:
            row[start : start + len(text)] = [(character, TICK) for character in text]


def spread(rows: Sequence[int], height: int) -> list[int]:
    """Return different rows from 0 to `height` - 1, each near the given row; `rows` are in rising order."""
    places: list[int] = []
    for row in rows:
        places.append(max(row, places[-1] + 1 if places else 0))
    limit = height - 1
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - 1
    return places


def _between(start: float, end: float, share: float) -> float:
    return start * (1 - share) + end * share


def _extremes(x: Sequence[float], y: Sequence[float], most: int) -> Iterator[tuple[float, float]]:
    """Yield about `most` points or fewer: the lowest and the highest of each span of neighbours, in order."""
    if len(x) <= most:
        yield from zip(x, y, strict=True)
        return
    spans = max(1, most // 2)
    bounds = [len(x) * span // spans for span in range(spans + 1)]
    for start, end in pairwise(bounds):
        part = y[start:end]
        low, high = part.index(min(part)), part.index(max(part))
        for index in sorted({low, high}):
            yield x[start + index], part[index]
