"""Write the files of a run: status.json, events.jsonl and metrics.jsonl.

No torch here: a worker writes its first status before it imports torch.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from alexplore.core.regular_files import read_json
from alexplore.runs.checkpoint_files import manifests
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineWriter, read_number
from alexplore.runs.messages import event_text
from alexplore.runs.protocol import (
    EndEvent,
    ErrorEvent,
    Event,
    EventLine,
    EventType,
    MetricsLine,
    event_record,
    metrics_record,
)
from alexplore.runs.reader import RunReader
from alexplore.runs.status import Status, write_status

STATUS_SECONDS = 1.0
KEPT_LINES = 10_000


@dataclass(frozen=True)
class History:
    """The events of earlier attempts, from events.jsonl."""

    attempts: int = 0
    lines: tuple[EventLine, ...] = ()

    def last(self, kind: type[EventType]) -> EventType | None:
        """Return the last event of a type, None if there is none."""
        return next((line.event for line in reversed(self.lines) if isinstance(line.event, kind)), None)


@dataclass(frozen=True)
class Position:
    """The position of a run's last checkpoint, shown in the status until training continues."""

    step: int = 0
    epoch: float = 0.0

    epochs: int = 0
    """Number of finished epochs."""


def read_position(run: RunDirectory) -> Position:
    """Return the position of a run's last checkpoint, without a check of its checksums.

    Manifests of earlier versions contain only finished epochs; the steps are then those of the last status.
    """
    _, manifest = next(manifests(run), ("", {}))
    step, epochs = manifest.get("step"), manifest.get("epoch")
    if type(step) is not int or type(epochs) is not int:
        return Position()
    if (part := read_number(manifest.get("epochs"))) is not None and math.isfinite(part):
        return Position(step, part, epochs)
    before = read_json(run.status_file, links=False) or {}
    steps, epoch = read_number(before.get("step")), read_number(before.get("epoch"))
    if steps and epoch and math.isfinite(epoch / steps):
        return Position(step, step * epoch / steps, epochs)
    return Position(step, float(epochs), epochs)


def read_history(run: RunDirectory) -> History:
    """Read events.jsonl."""
    lines = tuple(RunReader(run).events())
    return History(max((line.head.attempt for line in lines), default=-1) + 1, lines)


class RunWriter:
    """Writes the status, the events and the metrics of a run; a run has one at a time.

    A full disk does not stop the training: lines that can't be written are kept, the last 10,000, and written later.
    """

    def __init__(
        self, run: RunDirectory, attempt: int, pid: int | None = None, position: Position = Position()
    ) -> None:
        """`pid` is the process that the status names as the worker; this one if left out."""
        self._run = run
        self._status = Status(
            "starting", pid or os.getpid(), socket.gethostname(), position.step, round(position.epoch, 6)
        )
        self._written_at = 0.0
        self._events = _PatientWriter(LineWriter(run.events_file, attempt))
        self._metrics = _PatientWriter(LineWriter(run.metrics_file, attempt))

    def event(self, event: Event) -> None:
        """Append an event to events.jsonl, and print it to console.log."""
        self._events.append(event_record(event))
        if not isinstance(event, ErrorEvent):  # the worker prints errors itself
            print(f"{time.strftime('%H:%M:%S')} {event_text(event)}", flush=True)

    def metrics(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Append metrics by their keys to metrics.jsonl.

        Raises:
            KeyError: a metric is not declared in `runs.metrics.METRICS`.
        """
        self._metrics.append(metrics_record(MetricsLine(step, round(epoch, 6), values)))

    def starting(self, reason: str) -> None:
        """Set the status to `starting`, with the current activity."""
        self._write(replace(self._status, state="starting", reason=reason))

    def at(self, state: str, step: int, epoch: float, reason: str | None = None) -> None:
        """Update the status. It is written at most once a second, unless the state or the reason changes."""
        status = replace(self._status, state=state, step=step, epoch=round(epoch, 6), reason=reason)
        changed = (state, reason) != (self._status.state, self._status.reason)
        if changed or time.monotonic() - self._written_at > STATUS_SECONDS:
            self._write(status)
        else:
            self._status = status

    def end(self, state: str, reason: str | None = None) -> None:
        """Write the end of the attempt: finished, stopped or failed."""
        self.event(EndEvent(state, self._status.step, reason))
        self.sync()
        self._write(replace(self._status, state=state, reason=reason))

    def sync(self) -> None:
        """Force events and metrics onto the disk."""
        self._events.sync()
        self._metrics.sync()

    def _write(self, status: Status) -> None:
        self._status = replace(status, updated=round(time.time(), 3))
        self._written_at = time.monotonic()
        try:
            write_status(self._run, self._status)
        except OSError as error:
            print(f"warning: status.json: {error.strerror}", file=sys.stderr, flush=True)


class NullRunWriter(RunWriter):
    """The writer of all ranks but the first: it writes nothing."""

    def __init__(self) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def metrics(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        pass

    def at(self, state: str, step: int, epoch: float, reason: str | None = None) -> None:
        pass

    def end(self, state: str, reason: str | None = None) -> None:
        pass

    def sync(self) -> None:
        pass

    def starting(self, reason: str) -> None:
        pass


class _PatientWriter:
    """A line writer that keeps lines that can't be written, and writes them later."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self._waiting: deque[Mapping[str, Any]] = deque(maxlen=KEPT_LINES)

    def append(self, record: Mapping[str, Any]) -> None:
        self._waiting.append(record)
        try:
            while self._waiting:
                self._writer.append(**self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            if len(self._waiting) == 1:
                print(f"warning: the run's lines can't be written now: {error.strerror}", file=sys.stderr, flush=True)

    def sync(self) -> None:
        try:
            self._writer.sync()
        except OSError as error:
            print(f"warning: {error.strerror}", file=sys.stderr, flush=True)
