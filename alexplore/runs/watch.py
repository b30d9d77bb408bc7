"""The state of a run that is being watched, as one value that a screen or a command draws."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from alexplore.runs.config import RunConfig
from alexplore.runs.curves import Curve, drop_after, put_at_step
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.protocol import (
    Event,
    EventLine,
    EventType,
    Head,
    MetricsLine,
    StartEvent,
    metric_of,
)
from alexplore.runs.reader import MetricValues, RunReader
from alexplore.runs.summary import Summary

KEPT_EVENTS = 500
MOST_SHARE = 100.0
"""Times the peak that is measured; more is a damaged line."""


@dataclass(frozen=True)
class Snapshot(Summary):
    """A run as it is now, with all that was read of it.

    `curves` holds a curve of every metric by its key; it is the same object for as long as nothing was added. `events`
    are the last `KEPT_EVENTS`, `last_events` the last of each kind.
    """

    config: RunConfig
    curves: Mapping[str, Curve] = field(default_factory=dict)
    events: tuple[EventLine, ...] = ()
    last_events: Mapping[type[Event], EventLine] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float | None:
        """The last speed that was measured."""
        return self.latest.get("images_per_second")

    @property
    def peak_share(self) -> float | None:
        """The share of the machine's matrix-multiplication peak that the training reaches, from 0 to 1."""
        start, rate = self.last(StartEvent), self.images_per_second
        if start is None or not (rate and start.flops_per_image and start.peak_flops):
            return None
        share = rate * start.flops_per_image / start.peak_flops
        return share if share < MOST_SHARE else None

    @property
    def attempt(self) -> int:
        """The number of the last attempt, from 0; resuming adds 1."""
        return self.events[-1].head.attempt if self.events else 0

    def last(self, kind: type[EventType]) -> EventType | None:
        """Return the last event of a kind."""
        line = self.last_events.get(kind)
        return line.event if line and isinstance(line.event, kind) else None

    def first_step(self, attempt: int) -> int | None:
        """Return the step from which an attempt trains; None where it has not begun to train."""
        for line in self.events:
            if isinstance(line.event, StartEvent) and line.head.attempt == attempt:
                return line.event.step
        return None

    def events_after(self, sequence: int) -> list[EventLine]:
        """Return the events with a higher sequence number."""
        return [line for line in self.events if line.head.seq > sequence]


class Watch:
    """Follows one run directory; `poll` reads what is new since the last call."""

    def __init__(self, run: RunDirectory) -> None:
        """Open a run.

        Raises:
            RunError: its config.json can't be read.
        """
        self.run = run
        self._reader = RunReader(run)
        self._config = self._reader.config()
        self._values = MetricValues()
        self._points: dict[
            str, dict[int, tuple[float, float, float]]
        ] = {}  # of each metric by step: epoch, value, minutes
        self._minutes: dict[int, float] = {}  # by step
        self._last_head = Head()
        self._curves: Mapping[str, Curve] = {}
        self._events: deque[EventLine] = deque(maxlen=KEPT_EVENTS)
        self._last_events: dict[type[Event], EventLine] = {}

    def poll(self) -> Snapshot:
        """Return the run as it is now."""
        status = self._reader.status()  # before the lines: those of a run that has ended are all read
        changed = False
        for line in self._reader.metrics():
            changed = True
            self._add_metrics(line)
        for event in self._reader.events():
            self._values.add_event(event)
            self._events.append(event)
            self._last_events[type(event.event)] = event
        if changed:
            self._curves = {key: Curve(*zip(*points.values(), strict=True)) for key, points in self._points.items()}
        problems = self._reader.problems
        try:
            self._config = self._reader.config()
        except RunError as error:  # damaged since it was opened
            problems = (str(error), *problems)
        return Snapshot(
            run=self.run,
            status=status,
            config=self._config,
            latest=self._values.latest(),
            problems=problems,
            curves=self._curves,
            epochs=self._values.epochs,
            events=tuple(self._events),
            last_events=dict(self._last_events),
            epochs_per_second=self._values.epochs_per_second,
        )

    def _add_metrics(self, line: MetricsLine) -> None:
        self._values.add_metrics(line)
        minutes = self._minutes_at(line)
        for key, value in line.values.items():
            if metric_of(key) is not None:
                put_at_step(self._points.setdefault(key, {}), line.step, (line.epoch, value, minutes))

    def _minutes_at(self, line: MetricsLine) -> float:
        """Return the minutes of training at a line of metrics. A clock that was set back adds nothing."""
        drop_after(self._minutes, line.step)
        passed = line.head.time - self._last_head.time if line.head.attempt == self._last_head.attempt else 0.0
        before = self._minutes[next(reversed(self._minutes))] if self._minutes else None
        minutes = 0.0 if before is None else before + max(0.0, passed) / 60
        self._minutes[line.step], self._last_head = minutes, line.head
        return minutes
