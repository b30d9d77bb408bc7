"""Read a run directory incrementally: the one reader for list, show, watch, export, compare and the app."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alexplore.core.regular_files import FileStamp, file_stamp
from alexplore.runs.config import RunConfig
from alexplore.runs.curves import drop_after, put_at_step
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineReader, parse_lines
from alexplore.runs.metrics import BEST_METRIC, METRICS, Recorded
from alexplore.runs.metrics_block import MetricsBlock, read_block
from alexplore.runs.protocol import ControlEvent, EpochEvent, EventLine, MetricsLine, StartEvent, read_event
from alexplore.runs.status import Status, read_status

PACE_LINES = 60
"""Lines of metrics over which the pace of the training is measured."""

TAIL_BYTES = (4 * 1024, 64 * 1024, 512 * 1024, 4 * 1024 * 1024)
"""Sizes of the end of a file that is read: the next one if the one before does not have what is needed."""


class RunReader:
    """Reads what was added to the files of one run since the last call.

    With `tail` it reads only as many old lines as are needed for `RunValues`: the last values of the metrics, and the
    best and the last epoch.
    """

    def __init__(self, run: RunDirectory, *, tail: bool = False) -> None:
        self.run = run
        self._config: RunConfig | None = None
        self._config_stamp: FileStamp | None = None
        self._metrics, self._events = LineReader(run.metrics_file), LineReader(run.events_file)
        self._old_metrics: Sequence[MetricsBlock] = ()
        self._old_events: Sequence[EventLine] = ()
        if tail:
            self._events = LineReader(run.events_file, tail=TAIL_BYTES[-1])  # the best epoch may be the first one
            self._old_events = _read_deciding_events(self._events)
            enough = bool if _has_epoch(self._old_events) else _has_epoch_metrics
            self._metrics, self._old_metrics = _read_tail(run.metrics_file, enough)

    def config(self) -> RunConfig:
        """Return the config, which is read again after config.json was changed.

        Raises:
            RunError: it is missing, damaged or of another version.
        """
        stamp = file_stamp(self.run.config_file)
        if self._config is None or stamp != self._config_stamp:
            self._config, self._config_stamp = self.run.config(), stamp
        return self._config

    def status(self) -> Status:
        """Return the run's status. Call this before reading lines, so that no line of an ended run is missed."""
        return read_status(self.run)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why lines can't be read, with the file; empty if all files are readable or don't exist yet."""
        return tuple(reader.problem for reader in (self._metrics, self._events) if reader.problem)

    @property
    def behind(self) -> bool:
        """Whether the last block of metrics ended before the end of the file."""
        return self._metrics.behind

    def metrics(self) -> Iterator[MetricsLine]:
        """Yield the new lines of metrics.jsonl."""
        for block in self.metrics_blocks():
            yield from block.lines()

    def metrics_blocks(self) -> Iterator[MetricsBlock]:
        """Yield the new lines of metrics.jsonl in blocks; a block is read when the caller asks for it."""
        old, self._old_metrics = self._old_metrics, ()
        yield from old
        yield from map(read_block, self._metrics.read_blocks())

    def events(self) -> Iterator[EventLine]:
        """Yield the new lines of events.jsonl."""
        old, self._old_events = self._old_events, ()
        yield from old
        yield from _event_lines(self._events)


@dataclass(frozen=True)
class RunValues:
    """What the lines of a run say, as lists show it.

    `latest` holds the last value of each metric by its key. `best_epoch` is the finished epoch with the highest
    validation accuracy, the first of equal ones. `epochs_per_second` is None before there are two lines of metrics.
    """

    latest: Mapping[str, float] = field(default_factory=dict)
    best_epoch: EpochEvent | None = None
    last_epoch: EpochEvent | None = None
    epochs_per_second: float | None = None


class MetricValues:
    """The values of a run so far: its finished epochs, and the last value of every metric.

    When a run is resumed, the epochs after its first step are dropped.
    """

    def __init__(self) -> None:
        self._epochs: dict[int, EpochEvent] = {}  # by step
        self._last: dict[str, tuple[int, float]] = {}  # step and value
        self._step = 0
        self._pace: deque[tuple[float, float]] = deque(maxlen=PACE_LINES)  # time, epoch

    def add_block(self, block: MetricsBlock) -> None:
        """Add the values of lines of metrics.jsonl."""
        for line in block.deciding_lines():
            if line.step < self._step:
                self._last = {key: entry for key, entry in self._last.items() if entry[0] <= line.step}
            self._step = line.step
            for key, value in line.values.items():
                self._last[key] = (line.step, value)
        for time, epoch in zip(block.times[-PACE_LINES:], block.epochs[-PACE_LINES:], strict=True):
            if self._pace and epoch < self._pace[-1][1]:  # resumed from an earlier step
                self._pace.clear()
            self._pace.append((time, epoch))

    def add_event(self, line: EventLine) -> None:
        """Add the values of an event, if it has any."""
        match line.event:
            case EpochEvent() as epoch:
                put_at_step(self._epochs, epoch.step, epoch)
            case StartEvent() as start:
                drop_after(self._epochs, start.step)
            case ControlEvent(action="resume"):
                while self._pace and self._pace[0][0] < line.head.time:  # the pause is no part of the pace
                    self._pace.popleft()

    @property
    def epochs(self) -> tuple[EpochEvent, ...]:
        """The finished epochs, in order."""
        return tuple(self._epochs.values())

    def values(self) -> RunValues:
        """Return the values that lists show."""
        evaluated = [epoch for epoch in self._epochs.values() if BEST_METRIC in epoch.metrics]
        best = max(evaluated, key=lambda epoch: epoch.metrics[BEST_METRIC], default=None)
        last = self._epochs[next(reversed(self._epochs))] if self._epochs else None
        return RunValues(self.latest(), best, last, self.epochs_per_second)

    @property
    def epochs_per_second(self) -> float | None:
        """The pace over the last `PACE_LINES` lines of metrics; None before there are two lines."""
        if len(self._pace) < 2:
            return None
        (first_time, first), (last_time, last) = self._pace[0], self._pace[-1]
        return (last - first) / (last_time - first_time) if last_time > first_time and last > first else None

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


def _event_lines(reader: LineReader) -> Iterator[EventLine]:
    return map(read_event, reader.read_all())


def _read_deciding_events(reader: LineReader) -> Sequence[EventLine]:
    """Return the events that decide `RunValues`: the best and the last epoch, or all events of a resumed run.

    Their lines are found by the text that `json.dumps` writes, which takes a tenth of the time of parsing all lines. If
    one of them turns out to be damaged, all are parsed.
    """
    lines = list(reader.read_all_lines())
    epochs = [line for line in lines if EPOCH_TEXT in line]
    accuracies = list(map(float, ACCURACY_TEXT.findall(b"\n".join(epochs))))
    if epochs and len(accuracies) == len(epochs) and FIRST_ATTEMPT_TEXT in lines[-1]:
        best = accuracies.index(max(accuracies))
        found = _parse_events([epochs[best], *epochs[best + 1 :][-1:]])
        if found and all(isinstance(line.event, EpochEvent) for line in found):
            return found
    return _parse_events(lines)


EPOCH_TEXT = b'"event": "epoch"'
FIRST_ATTEMPT_TEXT = b'"attempt": 0,'
ACCURACY_TEXT = re.compile(rf'"{BEST_METRIC}": (\d+(?:\.\d+)?(?:e-?\d+)?)[,}}]'.encode())


def _parse_events(lines: Sequence[bytes]) -> list[EventLine]:
    return [read_event(record) for record in parse_lines(lines)]


def _read_tail(
    path: Path, enough: Callable[[Sequence[MetricsBlock]], bool]
) -> tuple[LineReader, Sequence[MetricsBlock]]:
    """Read as much of the end of metrics.jsonl as is `enough`; return a reader of later lines, and the blocks."""
    reader, blocks = LineReader(path), list[MetricsBlock]()
    for size in TAIL_BYTES:
        reader = LineReader(path, tail=size)
        blocks = [block for records in reader.read_blocks() if (block := read_block(records)).records]
        if reader.from_beginning or enough(blocks):
            break
    return reader, blocks


def _has_epoch_metrics(blocks: Sequence[MetricsBlock]) -> bool:
    return any(_per_epoch(key) for block in blocks for key in block.keys)


def _has_epoch(lines: Sequence[EventLine]) -> bool:
    """Return whether there is a finished epoch that no later attempt has dropped."""
    if any(isinstance(line.event, EpochEvent) for line in lines[-1:]):
        return True
    values = MetricValues()
    for line in lines:
        values.add_event(line)
    return bool(values.epochs)
