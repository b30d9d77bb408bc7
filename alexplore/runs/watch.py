"""Watching a run: what its directory tells, read a little at a time, as one value that anyone can draw."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.lines import LineReader, last_records, read_number
from alexplore.runs.status import Status, read_status

T = TypeVar("T")

CURVES = ("train/loss", "val/loss", "train/acc", "val/acc")
KEPT_EVENTS = 500
PACE_RECORDS = 60
KEPT_FILES = 4096


@dataclass(frozen=True)
class Curve:
    """One metric over the training: `epochs` (fractions of passes over the data) and `values`, in order of steps."""

    epochs: Sequence[float] = ()
    values: Sequence[float] = ()

    def thinned(self, points: int) -> Curve:
        """At most about `points` points, each the mean of its neighbours in time."""
        count = len(self.values)
        if count <= points:
            return self
        bounds = [count * i // points for i in range(points + 1)]
        spans = list(pairwise(bounds))
        return Curve(
            [sum(self.epochs[a:b]) / (b - a) for a, b in spans],
            [sum(self.values[a:b]) / (b - a) for a, b in spans],
        )

    def smoothed(self) -> Curve:
        """A moving average over about a thirtieth of the points; values that are not finite are left as they are."""
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
        return Curve(self.epochs, smooth)


@dataclass(frozen=True)
class EpochRow:
    """The numbers of one finished epoch."""

    epoch: int
    step: int
    values: Mapping[str, float]


def read_epoch(event: Mapping[str, Any]) -> EpochRow | None:
    """The numbers of an event that tells of a finished epoch; None for any other."""
    match event:
        case {"event": "epoch", "epoch": int(epoch), "step": int(step)}:
            values = {key: number for key, value in event.items() if (number := read_number(value)) is not None}
            return EpochRow(epoch, step, values)
        case _:
            return None


@dataclass(frozen=True)
class Snapshot:
    """A run as it is now; `curves` is the same object for as long as nothing was added to it."""

    run: RunDirectory
    config: RunConfig
    status: Status
    curves: Mapping[str, Curve] = field(default_factory=dict)
    epochs: tuple[EpochRow, ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    last_events: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latest: Mapping[str, float] = field(default_factory=dict)
    epochs_per_second: float | None = None

    @property
    def remaining_seconds(self) -> float | None:
        """How long it will take yet at the pace of the last metrics, evaluation included."""
        if not self.epochs_per_second:
            return None
        return max(0.0, self.config.recipe.epochs - self.status.epoch) / self.epochs_per_second

    @property
    def fraction(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return min(1.0, self.status.epoch / self.config.recipe.epochs)

    @cached_property
    def images_per_second(self) -> float | None:
        """The last speed measured."""
        return self.latest.get("images_per_second")

    @property
    def peak_share(self) -> float | None:
        """The share of the machine's matrix-multiplication peak that the training reaches, from 0 to 1."""
        start, rate = self.event("start"), self.images_per_second
        work, peak = read_number(start.get("flops_per_image")), read_number(start.get("peak_flops"))
        return rate * work / peak if rate and work and peak else None

    @property
    def best(self) -> float | None:
        """The highest validation accuracy so far."""
        return max((row.values["val/acc"] for row in self.epochs if "val/acc" in row.values), default=None)

    @property
    def attempt(self) -> int:
        """The number of the last attempt, from 0; every resuming begins another."""
        return self.events[-1].get("attempt", 0) if self.events else 0

    def first_step(self, attempt: int) -> int | None:
        """The step after which an attempt trains; None where it has not come to that."""
        for event in self.events:
            match event:
                case {"event": "start", "attempt": number, "step": int(step)} if number == attempt:
                    return step
        return None

    def events_after(self, sequence: int) -> list[Mapping[str, Any]]:
        """The events with a higher sequence number, for who has told of the others."""
        return [event for event in self.events if event.get("seq", -1) > sequence]

    def event(self, name: str) -> Mapping[str, Any]:
        """The last event of that name, or nothing."""
        return self.last_events.get(name, {})


def place(values: dict[int, T], step: int, value: T) -> None:
    """Put a value at its step, in order of steps, in the place of all that an earlier attempt had from there on.

    A resumed run goes over the steps since its checkpoint again, and what it tells of them counts.
    """
    if values and step < next(reversed(values)):
        for superseded in [known for known in values if known >= step]:
            del values[superseded]
    values[step] = value


class Watch:
    """Follows one run directory. `poll` reads what is new since the last call."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.config = run.config()
        self._metrics = LineReader(run.metrics_file)
        self._events = LineReader(run.events_file)
        self._values: dict[str, dict[int, tuple[float, float]]] = {}
        self._curves: Mapping[str, Curve] = {}
        self._kept: deque[Mapping[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self._last: dict[str, Mapping[str, Any]] = {}
        self._epochs: dict[int, EpochRow] = {}
        self._latest: dict[str, float] = {}
        self._pace: deque[tuple[float, float]] = deque(maxlen=PACE_RECORDS)

    def poll(self) -> Snapshot:
        """The run as it is now."""
        status = read_status(self.run)
        news = False
        for record in self._metrics.read_all():
            news = True
            self._take(record)
        for record in self._events.read_all():
            self._kept.append(record)
            self._last[str(record.get("event"))] = record
            if row := read_epoch(record):
                self._epochs[row.epoch] = row
        if news:
            self._curves = {name: Curve(*zip(*points.values(), strict=True)) for name, points in self._values.items()}
        epochs = tuple(self._epochs[number] for number in sorted(self._epochs))
        return Snapshot(
            run=self.run,
            config=self.config,
            status=status,
            curves=self._curves,
            epochs=epochs,
            events=tuple(self._kept),
            last_events=dict(self._last),
            latest=dict(self._latest),
            epochs_per_second=self._speed(),
        )

    def _take(self, record: Mapping[str, Any]) -> None:
        step, epoch = record.get("step"), read_number(record.get("epoch"))
        if not isinstance(step, int) or epoch is None:
            return
        numbers = {
            key: number
            for key, value in record.items()
            if key not in ("v", "seq", "attempt", "time", "step", "epoch")
            and (number := read_number(value)) is not None
        }
        self._latest.update(numbers)
        moment = read_number(record.get("time"))
        if moment is not None:
            if self._pace and epoch < self._pace[-1][1]:  # resumed from an earlier step
                self._pace.clear()
            self._pace.append((moment, epoch))
        for name in CURVES:
            if name in numbers:
                place(self._values.setdefault(name, {}), step, (epoch, numbers[name]))

    def _speed(self) -> float | None:
        if len(self._pace) < 2:
            return None
        (begun, first), (ended, last) = self._pace[0], self._pace[-1]
        return (last - first) / (ended - begun) if ended > begun and last > first else None


@dataclass(frozen=True)
class Summary:
    """A line about a run, read without going through all of it."""

    run: RunDirectory
    status: Status
    config: RunConfig | None
    accuracy: float | None = None
    loss: float | None = None
    images_per_second: float | None = None

    @property
    def epochs(self) -> str:
        """3.5/10"""
        total = self.config.recipe.epochs if self.config else "?"
        return f"{self.status.epoch:.3g}/{total}"

    @property
    def age(self) -> float:
        """Seconds since it was last heard of."""
        return max(0.0, time.time() - self.status.updated) if self.status.updated else 0.0


def summarise(run: RunDirectory) -> Summary:
    """Status and last numbers of a run; a damaged config.json leaves the rest.

    Files that did not change since they were read are not read again: whoever lists runs does so every second.
    """
    config = _config(run, _stamp(run.config_file))
    latest = _latest(run.metrics_file, _stamp(run.metrics_file))
    return Summary(
        run, read_status(run), config, latest.get("val/acc"), latest.get("train/loss"), latest.get("images_per_second")
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """What differs after every change of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=KEPT_FILES)
def _config(run: RunDirectory, stamp: tuple[int, int] | None) -> RunConfig | None:  # noqa: ARG001 (keys the cache)
    try:
        return run.config()
    except RunError:
        return None


@lru_cache(maxsize=KEPT_FILES)
def _latest(metrics: Path, stamp: tuple[int, int] | None) -> Mapping[str, float]:  # noqa: ARG001 (keys the cache)
    latest: dict[str, float] = {}
    for record in last_records(metrics):
        latest.update({key: number for key, value in record.items() if (number := read_number(value)) is not None})
    return latest
