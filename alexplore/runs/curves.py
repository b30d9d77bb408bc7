"""Curves of metrics over the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Curve:
    """One metric over the training, by step.

    `epochs` are passes over the training images, fractions. `minutes` are those since the first of the run's metrics,
    without the time between two attempts.
    """

    epochs: Sequence[float] = ()
    values: Sequence[float] = ()
    minutes: Sequence[float] = ()

    def smoothed(self) -> Curve:
        """Return an exponential moving average over about a thirtieth of the points.

        Values that are not finite stay as they are and don't enter the average.
        """
        weight = max(0.0, 1 - 30 / max(1, len(self.values)))
        average, share = 0.0, 0.0
        smooth = []
        for value in self.values:
            if not isfinite(value):
                smooth.append(value)
                continue
            average = weight * average + (1 - weight) * value
            share = weight * share + (1 - weight)
            smooth.append(average / share)
        return Curve(self.epochs, smooth, self.minutes)


def put_at_step(values: dict[int, T], step: int, value: T) -> None:
    """Put a value at its step into a dict that is in order of steps, and drop the values of later steps.

    A resumed run repeats the steps since its checkpoint: what it writes replaces what the attempt before wrote.
    """
    drop_after(values, step)
    values[step] = value


def drop_after(values: dict[int, T], step: int) -> None:
    """Remove the values of steps after `step` from a dict that is in order of steps."""
    while values and (last := next(reversed(values))) > step:
        del values[last]
