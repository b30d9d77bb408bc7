"""Curves of metrics over the training."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import TypeVar

T = TypeVar("T")

MOST_POINTS = 4096
"""Points of a curve. A terminal shows a few hundred; more are kept so that a part of the curve can be enlarged."""


@dataclass(frozen=True)
class Curve:
    """One metric over the training, by step.

    `epochs` are passes over the training images, fractions. `minutes` are those since the first of the run's metrics,
    without the time between two attempts.

    A long curve is thinned: it keeps the lowest and the highest value of each span of neighbouring lines, at the steps
    where they were measured, and the last line. `means` has the mean of each point's span; it is empty if every point
    stands for one line.
    """

    epochs: Sequence[float] = ()
    values: Sequence[float] = ()
    minutes: Sequence[float] = ()
    means: Sequence[float] = ()

    def smoothed(self) -> Curve:
        """Return an exponential moving average over about a thirtieth of the points.

        Values that are not finite stay as they are and don't enter the average.
        """
        weight = max(0.0, 1 - 30 / max(1, len(self.values)))
        average, share = 0.0, 0.0
        smooth = []
        for value in self.means or self.values:
            if not isfinite(value):
                smooth.append(value)
                continue
            average = weight * average + (1 - weight) * value
            share = weight * share + (1 - weight)
            smooth.append(average / share)
        return Curve(self.epochs, smooth, self.minutes)


class CurveBuilder:
    """Builds a curve from the lines of a run in bounded memory: at most about `MOST_POINTS` points.

    Each point stands for `weight` lines. Whenever there are too many points, the weight doubles, and of every four
    points the lowest and the highest stay.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._weight = 1
        self._points = _Points()
        self._lines = _Points()  # the last ones, which are not more than two points stand for

    def extend(
        self, steps: Sequence[int], epochs: Sequence[float], values: Sequence[float], minutes: Sequence[float]
    ) -> None:
        """Add values at some steps. They replace the values of the same and of later steps, as `put_at_step` does.

        A point that stands for lines before and after such a step is kept, with its mean, if it was measured before
        the step.
        """
        if not steps:
            return
        added = _Points(array("q", steps), array("d", epochs), array("d", values), array("d", minutes))
        added.means = added.values[:]
        added.drop_replaced()
        for points in (self._points, self._lines):
            points.drop_from(added.steps[0])
        self._lines.append(added)
        size = 2 * self._weight
        whole = (len(self._lines.steps) - 1) // size * size  # the last line stays a line, so that a curve ends with it
        self._points.append(self._lines.part(0, whole).thinned(size))
        self._lines = self._lines.part(whole, len(self._lines.steps))
        while len(self._points.steps) > self._most:
            self._weight *= 2
            self._points = self._points.thinned(4)

    def value_at(self, step: int) -> float | None:
        """Return the last value that was measured at or before a step; None if there is none."""
        for points in (self._lines, self._points):
            if index := bisect_right(points.steps, step):
                return points.values[index - 1]
        return None

    def curve(self) -> Curve:
        """Return the curve so far."""
        points = _Points()
        points.append(self._points)
        count = len(self._lines.steps)
        if count > 2:  # the last line is a separate point, which stands for the lines before it, too
            last, thin = self._lines.part(count - 1, count), self._lines.thinned(count)
            last.means = thin.means[-1:]
            thin.drop_from(last.steps[0])
            points.append(thin)
            points.append(last)
        else:
            points.append(self._lines)
        return Curve(points.epochs, points.values, points.minutes, points.means)


@dataclass
class _Points:
    """Columns of points in order of steps; `means` are the means over the lines of each point."""

    steps: array[int]
    epochs: array[float]
    values: array[float]
    minutes: array[float]
    means: array[float]

    def __init__(self, steps: array[int] | None = None, *columns: array[float]) -> None:
        self.steps = array("q") if steps is None else steps
        missing = [array("d") for _ in range(4 - len(columns))]
        self.epochs, self.values, self.minutes, self.means = (*columns, *missing)

    @property
    def _columns(self) -> tuple[array[float], ...]:
        return self.epochs, self.values, self.minutes, self.means

    def append(self, other: _Points) -> None:
        """Add points of later steps."""
        self.steps.extend(other.steps)
        for column, added in zip(self._columns, other._columns, strict=True):
            column.extend(added)

    def part(self, start: int, end: int) -> _Points:
        """Return some of the points."""
        return _Points(self.steps[start:end], *(column[start:end] for column in self._columns))

    def drop_from(self, step: int) -> None:
        """Remove the points from a step on."""
        index = bisect_left(self.steps, step)
        if index < len(self.steps):
            del self.steps[index:]
            for column in self._columns:
                del column[index:]

    def drop_replaced(self) -> None:
        """Remove the points that are followed by one of the same or an earlier step."""
        if all(map(int.__lt__, self.steps, self.steps[1:])):
            return
        kept, lowest = list[int](), inf
        for index in reversed(range(len(self.steps))):
            if self.steps[index] < lowest:
                lowest = self.steps[index]
                kept.append(index)
        kept.reverse()
        self.steps = array("q", [self.steps[index] for index in kept])
        self.epochs, self.values, self.minutes, self.means = (
            array("d", [column[index] for index in kept]) for column in self._columns
        )

    def thinned(self, size: int) -> _Points:
        """Return two points for each `size` points: the lowest and the highest, in the order of their steps.

        Points that are left over at the end, fewer than `size`, stay as they are.
        """
        if size <= 2:
            return self
        thin = _Points()
        count = len(self.steps)
        for start in range(0, count - size + 1, size):
            values = self.values[start : start + size]
            for index in _extremes(values):
                thin.steps.append(self.steps[start + index])
                thin.epochs.append(self.epochs[start + index])
                thin.values.append(values[index])
                thin.minutes.append(self.minutes[start + index])
            mean = _mean(self.means[start : start + size])
            thin.means.extend((mean, mean))
        thin.append(self.part(count // size * size, count))
        return thin


def _extremes(values: array[float]) -> tuple[int, int]:
    """Return the indices of the lowest and the highest finite value, the smaller index first.

    They are the first and the last index if all values are equal, or none is finite.
    """
    if isfinite(sum(values)):
        low, high = values.index(min(values)), values.index(max(values))
        return (0, len(values) - 1) if low == high else (min(low, high), max(low, high))
    finite = [index for index, value in enumerate(values) if isfinite(value)]
    if not finite:
        return 0, len(values) - 1
    low, high = min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)
    return min(low, high), max(low, high)


def _mean(values: array[float]) -> float:
    """Return the mean of the finite values; NaN without one."""
    total = sum(values)
    if isfinite(total):
        return total / len(values)
    finite = [value for value in values if isfinite(value)]
    return sum(value / len(finite) for value in finite) if finite else nan


def put_at_step(values: dict[int, T], step: int, value: T) -> None:
    """Put a value at its step into a dict that is in order of steps, and drop the values of later steps.

    A resumed run repeats the steps since its checkpoint, so its values replace those of the attempt before.
    """
    drop_after(values, step)
    values[step] = value


def drop_after(values: dict[int, T], step: int) -> None:
    """Remove the values of steps after `step` from a dict that is in order of steps."""
    while values and (last := next(reversed(values))) > step:
        del values[last]
