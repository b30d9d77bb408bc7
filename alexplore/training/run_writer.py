"""What a worker says of itself: status.json, events.jsonl and metrics.jsonl. No torch, so that it can say so early."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineReader, LineWriter
from alexplore.runs.status import Status, write_status

STATUS_SECONDS = 1.0
KEPT_LINES = 10_000


@dataclass(frozen=True)
class History:
    """What earlier attempts left in events.jsonl."""

    attempts: int = 0
    events: tuple[dict[str, Any], ...] = ()

    def last(self, event: str) -> dict[str, Any] | None:
        """The last event of a kind."""
        return next((e for e in reversed(self.events) if e.get("event") == event), None)


def read_history(run: RunDirectory) -> History:
    """Read events.jsonl whole."""
    events = tuple(LineReader(run.events_file).read_all())
    attempts = max((int(e["attempt"]) for e in events if isinstance(e.get("attempt"), int)), default=-1) + 1
    return History(attempts, events)


class Journal:
    """The one writer of a run's status, events and metrics.

    A full disk stops no training: lines that can't be written are kept (the last 10,000) and written when they can be.
    """

    def __init__(self, run: RunDirectory, attempt: int, pid: int | None = None) -> None:
        """`pid` is the process to be shown as the worker, this one if left out."""
        self._run = run
        self._status = Status("starting", pid or os.getpid(), socket.gethostname())
        self._written_at = 0.0
        self._events = _Lines(LineWriter(run.events_file, attempt))
        self._metrics = _Lines(LineWriter(run.metrics_file, attempt))

    def event(self, event: str, **details: Any) -> None:
        """Append to events.jsonl, and say it in console.log."""
        self._events.append(event=event, **details)
        told = " ".join(f"{key}={value}" for key, value in details.items())
        print(f"{time.strftime('%H:%M:%S')} {event} {told}".rstrip(), flush=True)

    def metrics(self, step: int, epoch: float, **values: float) -> None:
        """Append to metrics.jsonl."""
        self._metrics.append(step=step, epoch=round(epoch, 6), **values)

    def starting(self, doing: str) -> None:
        """Tell whoever waits what for."""
        self._write(replace(self._status, state="starting", reason=doing))

    def at(self, state: str, step: int, epoch: float) -> None:
        """Where the training is; written at most once a second unless the state changes."""
        status = replace(self._status, state=state, step=step, epoch=round(epoch, 6), reason=None)
        if state != self._status.state or time.monotonic() - self._written_at > STATUS_SECONDS:
            self._write(status)
        else:
            self._status = status

    def end(self, state: str, reason: str | None = None) -> None:
        """The last word: finished, stopped or failed."""
        self.event("end", state=state, step=self._status.step, reason=reason)
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


class _Lines:
    """A line writer that outlasts a full disk."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self._waiting: deque[dict[str, Any]] = deque(maxlen=KEPT_LINES)

    def append(self, **record: Any) -> None:
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


class SilentJournal(Journal):
    """Of the ranks that write nothing."""

    def __init__(self) -> None:
        pass

    def event(self, event: str, **details: Any) -> None:
        pass

    def metrics(self, step: int, epoch: float, **values: float) -> None:
        pass

    def at(self, state: str, step: int, epoch: float) -> None:
        pass

    def end(self, state: str, reason: str | None = None) -> None:
        pass

    def sync(self) -> None:
        pass

    def starting(self, doing: str) -> None:
        pass
