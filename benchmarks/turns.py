"""Measure tasks by turns, with the machine's peak beside every turn, and discard turns that were disturbed.

A turn does every task once, one directly after the other and in alternating order. Before and after them it does a
matrix multiplication, whose speed is the machine's peak at that moment. A turn is discarded

- if its peak is lower than `PEAK_SHARE` of the highest one: the clock rate fell, or another program used the processor;
- if the wall clock is read, and other programs used more than `OTHER_SHARE` of the processors meanwhile.

Ratios are of tasks of the same turn. A result has the median over the kept turns, the smallest and the largest value,
and how many turns were discarded for which reason.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from alexplore.training.precision import TYPES
from alexplore.training.timing import processor_seconds, wall_seconds

PEAK_SHARE = 0.9
OTHER_SHARE = 0.05
MOST_TURNS = 4
"""At most this many times the requested turns are done; after that, the result is of the turns kept until then."""

CPU = torch.device("cpu")
Task = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """A value over several turns."""

    median: float
    low: float
    high: float

    def text(self, format: str = ".2f") -> str:
        """Return the median with the spread, such as "1.32 (1.29 to 1.35)"."""
        return f"{self.median:{format}} ({self.low:{format}} to {self.high:{format}})"


def figure(values: list[float]) -> Figure:
    """Return the figure of some values."""
    return Figure(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Turn:
    """The seconds of each task, the peak in FLOP/s, and the share of the processors that other programs used."""

    seconds: Mapping[str, float]
    peak: float
    others: float


@dataclass(frozen=True)
class Turns:
    """All turns of a comparison."""

    all: tuple[Turn, ...]
    reads_wall_clock: bool

    @property
    def highest_peak(self) -> float:
        """The highest peak of all turns, in FLOP/s."""
        return max(turn.peak for turn in self.all)

    def why_discarded(self, turn: Turn) -> str | None:
        """Return why a turn is discarded, None if it is kept."""
        if turn.peak < PEAK_SHARE * self.highest_peak:
            return "the peak fell"
        if self.reads_wall_clock and turn.others > OTHER_SHARE:
            return "other work ran"
        return None

    @property
    def kept(self) -> tuple[Turn, ...]:
        """The turns that are kept."""
        return tuple(turn for turn in self.all if self.why_discarded(turn) is None)

    @property
    def counted(self) -> tuple[Turn, ...]:
        """The turns from which results are calculated: those that are kept, or all if none is."""
        return self.kept or self.all

    def seconds(self, name: str) -> Figure:
        """Return the seconds of a task."""
        return figure([turn.seconds[name] for turn in self.counted])

    def ratio(self, one: str, other: str) -> Figure:
        """Return the seconds of one task divided by those of another: above 1 the other is faster."""
        return figure([turn.seconds[one] / turn.seconds[other] for turn in self.counted])

    def share_of_peak(self, name: str, flops: float) -> Figure:
        """Return the share of the peak that a task with `flops` floating-point operations reaches."""
        return figure([flops / turn.seconds[name] / turn.peak for turn in self.counted])

    def note(self) -> str:
        """Return how many turns are kept, and why the others are discarded."""
        reasons = [reason for turn in self.all if (reason := self.why_discarded(turn))]
        counts = [f"{reasons.count(reason)} discarded: {reason}" for reason in sorted(set(reasons))]
        text = f"{len(self.kept)} of {len(self.all)} turns count"
        if counts:
            text += f" ({'; '.join(counts)})"
        return text if self.kept else f"{text}: NOT TO BE TRUSTED, these are all turns"

    def to_dict(self) -> dict[str, Any]:
        """Return everything for the JSON file."""
        return {
            "kept": len(self.kept),
            "turns": [
                {"seconds": dict(turn.seconds), "peak_flops": turn.peak, "others": round(turn.others, 4),
                 "discarded": self.why_discarded(turn)}
                for turn in self.all
            ],
        }  # fmt: skip


def take_turns(tasks: Mapping[str, Task], precision: str, turns: int, *, wall_clock: bool = True) -> Turns:
    """Do `turns` undisturbed turns, at most `MOST_TURNS` times as many in all, after a first one that does not count.

    With `wall_clock=False` the processor time of one thread is measured, which other programs change little.
    """
    taken: list[Turn] = []
    for number in range(1 + MOST_TURNS * turns):
        names = list(tasks) if number % 2 else list(tasks)[::-1]
        busy = _BusyShare()
        before = peak(precision, wall_clock)
        seconds = {name: _seconds(tasks[name], wall_clock) for name in names}
        after = peak(precision, wall_clock)
        if number:
            taken.append(Turn(seconds, min(before, after), busy.others()))
        if taken and len(Turns(tuple(taken), wall_clock).kept) >= turns:
            break
    return Turns(tuple(taken), wall_clock)


def peak(precision: str, wall_clock: bool = True, size: int = 1024) -> float:
    """Return the floating-point operations a second of a square matrix multiplication, the best of three."""
    left, right = (torch.randn(size, size, dtype=TYPES[precision]) for _ in range(2))
    return max(2 * size**3 / _seconds(lambda: left @ right, wall_clock) for _ in range(3))


def _seconds(task: Task, wall_clock: bool) -> float:
    return wall_seconds(task, CPU) if wall_clock else processor_seconds(task)


class _BusyShare:
    """Measures the share of the processors that programs other than this one and its children use."""

    def __init__(self) -> None:
        self._own, self._busy, self._started = _own_seconds(), _busy_seconds(), time.monotonic()

    def others(self) -> float:
        """Return the share since this object was created, from 0 to 1."""
        elapsed = max(1e-9, time.monotonic() - self._started) * (os.cpu_count() or 1)
        return max(0.0, (_busy_seconds() - self._busy) - (_own_seconds() - self._own)) / elapsed


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times[:3]) + sum(getattr(times, name, 0.0) for name in ("irq", "softirq", "steal")))


def _own_seconds() -> float:
    total = 0.0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:  # it has ended
            continue
    return total
