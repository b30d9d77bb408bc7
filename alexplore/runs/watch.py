"""Follow a run: its current state as one value, which a screen or a command shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from alexplore.runs.config import RunConfig
from alexplore.runs.curve_builders import CurveBuilders, Preview, preview
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.protocol import EpochEvent, Event, EventLine, EventType, StartEvent
from alexplore.runs.reader import MetricValues, RunReader
from alexplore.runs.summary import Summary

KEPT_EVENTS = 500
FEW_BLOCKS = 32
"""Blocks of metrics that a screen reads between two drawings: 8 MiB, which take less than half a second."""

MOST_SHARE = 1.5
"""The largest share of the peak that is shown; a larger one means that the peak was measured on a busy machine.

Convolutions by tiles take fewer multiplications than are counted, so a share may be above 1.
"""


@dataclass(frozen=True)
class Snapshot(Summary):
    """The current state of a run, with its curves and events.

    `epochs` are all finished epochs. `curves` holds the curve of every metric by its key; it is the same object until
    something is added. `events` are the last `KEPT_EVENTS`, `last_events` the last of each kind. `whole` is False while
    the metrics of a long run are still being read: then the curves are those of a sample of its lines.
    """

    config: RunConfig
    epochs: tuple[EpochEvent, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    events: tuple[EventLine, ...] = ()
    last_events: Mapping[type[Event], EventLine] = field(default_factory=dict)
    whole: bool = True

    @property
    def images_per_second(self) -> float | None:
        """The last speed that was measured."""
        return self.latest.get("images_per_second")

    @property
    def peak_share(self) -> float | None:
        """The share of the machine's matrix-multiplication peak that is reached; None if unknown."""
        start, rate = self.last(StartEvent), self.images_per_second
        if start is None or not (rate and start.flops_per_image and start.peak_flops):
            return None
        share = rate * start.flops_per_image / start.peak_flops
        return share if share <= MOST_SHARE else None

    @property
    def attempt(self) -> int:
        """The number of the last attempt, from 0; resuming adds 1."""
        return self.events[-1].head.attempt if self.events else 0

    def last(self, kind: type[EventType]) -> EventType | None:
        """Return the last event of a kind."""
        line = self.last_events.get(kind)
        return line.event if line and isinstance(line.event, kind) else None

    def first_step(self, attempt: int) -> int | None:
        """Return the step from which an attempt trains; None if it has not started to train."""
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
        self._builders = CurveBuilders()
        self._curves: Mapping[str, Curve] = {}
        self._preview: Preview | None = None
        self._whole = False  # whether the end of metrics.jsonl has been reached
        self._events: deque[EventLine] = deque(maxlen=KEPT_EVENTS)
        self._last_events: dict[type[Event], EventLine] = {}

    def poll(self, most_blocks: int | None = None) -> Snapshot:
        """Return the current state of the run.

        At most `most_blocks` blocks of metrics are read. A long run then takes several calls; until the last of them
        its curves are those of a sample of its lines, and `whole` is False.
        """
        status = self._reader.status()  # before the lines, so that no line of an ended run is missed
        changed = self._read_metrics(most_blocks)
        for event in self._reader.events():
            self._values.add_event(event)
            self._events.append(event)
            self._last_events[type(event.event)] = event
        values = self._values.values()
        latest, pace = values.latest, values.epochs_per_second
        if self._whole:
            self._preview = None
            self._curves = self._builders.curves() if changed else self._curves
        else:
            self._preview = self._preview or preview(self.run, self._values.epochs)
            self._curves = self._preview.curves
            latest, pace = self._preview.values.latest(), self._preview.values.epochs_per_second
        problems = self._reader.problems
        try:
            self._config = self._reader.config()
        except RunError as error:  # damaged since it was opened
            problems = (str(error), *problems)
        return Snapshot(
            run=self.run,
            status=status,
            config=self._config,
            latest=latest,
            best_epoch=values.best_epoch,
            last_epoch=values.last_epoch,
            problems=problems,
            curves=self._curves,
            epochs=self._values.epochs,
            events=tuple(self._events),
            last_events=dict(self._last_events),
            epochs_per_second=pace,
            whole=self._whole,
        )

    def _read_metrics(self, most_blocks: int | None) -> bool:
        """Read blocks of metrics; return whether they had any lines."""
        changed = False
        for count, block in enumerate(self._reader.metrics_blocks(), 1):
            if block.records:
                changed = True
                self._values.add_block(block)
                self._builders.add(block)
            if count == most_blocks and self._reader.behind:
                return changed
        self._whole = True
        return changed
