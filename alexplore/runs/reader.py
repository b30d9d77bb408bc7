"""Reading a run directory, a little at a time: the one reader of list, show, watch, export, compare and the app."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from alexplore.runs.config import RunConfig
from alexplore.runs.curves import drop_after, put_at_step
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineReader
from alexplore.runs.protocol import (
    METRICS,
    EpochEvent,
    EventLine,
    MetricsLine,
    Recorded,
    StartEvent,
    read_event,
    read_metrics,
)
from alexplore.runs.status import Status, read_status

Records = Iterable[Mapping[str, Any]]

TAIL_BYTES = (8 * 1024, 64 * 1024, 512 * 1024, 4 * 1024 * 1024)
"""How much of the end of a file is read, the next where what is looked for is not in the one before."""


class RunReader:
    """Reads what the files of one run have gained since the last call.

    With `tail` it reads no more of the old lines than the last values of the metrics take.
    """

    def __init__(self, run: RunDirectory, *, tail: bool = False) -> None:
        self.run = run
        self._config: RunConfig | None = None
        self._config_stamp: tuple[int, int] | None = None
        self._metrics, self._events = LineReader(run.metrics_file), LineReader(run.events_file)
        self._old_metrics: Iterable[dict[str, Any]] = ()
        self._old_events: Iterable[dict[str, Any]] = ()
        if tail:
            self._events, self._old_events = _read_tail(run.events_file, _has_epoch)
            enough = _has_metrics if _has_epoch(self._old_events) else _has_epoch_metrics
            self._metrics, self._old_metrics = _read_tail(run.metrics_file, enough)

    def config(self) -> RunConfig:
        """Return config.json, which is read again when it was changed.

        Raises:
            RunError: it is missing, damaged or of another version.
        """
        stamp = _stamp(self.run.config_file)
        if self._config is None or stamp != self._config_stamp:
            self._config, self._config_stamp = self.run.config(), stamp
        return self._config

    def status(self) -> Status:
        """Return the run's state. To miss no line of a run that has ended, ask before reading lines."""
        return read_status(self.run)

    def metrics(self) -> Iterator[MetricsLine]:
        """Yield the new lines of metrics.jsonl."""
        old, self._old_metrics = self._old_metrics, ()
        for records in (old, self._metrics.read_all()):
            for record in records:
                if line := read_metrics(record):
                    yield line

    def events(self) -> Iterator[EventLine]:
        """Yield the new lines of events.jsonl."""
        old, self._old_events = self._old_events, ()
        for records in (old, self._events.read_all()):
            yield from map(read_event, records)


class MetricValues:
    """The numbers of a run so far: those of each epoch, and the last value of every metric.

    A resumed run replaces the epochs after the step that it starts from.
    """

    def __init__(self) -> None:
        self._epochs: dict[int, EpochEvent] = {}  # by step
        self._last: dict[str, tuple[int, float]] = {}  # step and value
        self._step = 0

    def add_metrics(self, line: MetricsLine) -> None:
        """Take the values of a line of metrics.jsonl."""
        if line.step < self._step:
            self._last = {key: entry for key, entry in self._last.items() if entry[0] <= line.step}
        self._step = line.step
        self._last.update({key: (line.step, value) for key, value in line.values.items()})

    def add_event(self, line: EventLine) -> None:
        """Take the values of an event, if it has some."""
        match line.event:
            case EpochEvent() as epoch:
                put_at_step(self._epochs, epoch.step, epoch)
            case StartEvent() as start:
                drop_after(self._epochs, start.step)

    @property
    def epochs(self) -> tuple[EpochEvent, ...]:
        """The finished epochs that were read, in order."""
        return tuple(self._epochs.values())

    def latest(self) -> Mapping[str, float]:
        """Return the last value of every metric by its key."""
        latest = dict(self._last)
        if self._epochs:
            epoch = self._epochs[next(reversed(self._epochs))]
            for key, value in epoch.metrics.items():
                if _per_epoch(key) and (key not in latest or latest[key][0] <= epoch.step):
                    latest[key] = (epoch.step, value)
        return {key: value for key, (_, value) in latest.items()}


def _per_epoch(key: str) -> bool:
    return key in METRICS and METRICS[key].recorded is Recorded.PER_EPOCH


def _read_tail(path: Path, enough: Callable[[Records], bool]) -> tuple[LineReader, list[dict[str, Any]]]:
    """Read the end of a file of lines, as far back as it takes; return the records and a reader behind them."""
    reader, records = LineReader(path), list[dict[str, Any]]()
    for size in TAIL_BYTES:
        reader = LineReader(path, tail=size)
        records = list(reader.read_all())
        if reader.from_beginning or enough(records):
            break
    return reader, records


def _has_metrics(records: Records) -> bool:
    return any(read_metrics(record) for record in records)


def _has_epoch_metrics(records: Records) -> bool:
    return any(_per_epoch(key) for record in records for key in record)


def _has_epoch(records: Records) -> bool:
    values = MetricValues()
    for record in records:
        values.add_event(read_event(record))
    return bool(values.epochs)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What differs after every change of a file that is replaced; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
