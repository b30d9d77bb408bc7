"""Read logs of other programs: event files of TensorBoard, and metrics.csv of Lightning's CSV logger.

A log is a folder without a network, a recipe or a worker, so it can be watched, but not stopped or resumed. A folder
with several logs below it, as TensorBoard opens it, is one log whose metrics are named by folder and metric.

Sources: https://lightning.ai/docs/pytorch/stable/api/lightning.pytorch.loggers.csv_logs.html, and `event_files`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from alexplore.core.boundary import os_error_text
from alexplore.core.regular_files import open_regular
from alexplore.runs.curves import Curve, CurveBuilder
from alexplore.runs.event_files import FILE_PREFIX, EventFileError, read_events

CSV_NAME = "metrics.csv"
VERSION = re.compile(r"version_(\d+)")
"""Names of the folders in which Lightning keeps the logs of a script; the highest number is the newest."""

TENSORBOARD, LIGHTNING = "TensorBoard", "Lightning"

MOST_METRICS = 1000
"""The most metrics that are read from a log."""

DEEPEST, MOST_FOLDERS = 3, 1000
"""How deep below a folder logs are searched for, and in how many folders."""

LARGEST_CSV = 512 * 2**20
"""The most bytes of a metrics.csv that are read."""


@dataclass(frozen=True)
class ForeignLog:
    """A folder with the log of another program, or with `several` logs in folders below it."""

    path: Path
    program: str
    several: bool = False

    @property
    def name(self) -> str:
        """The folder's name, after its parent's name if Lightning has numbered the folder."""
        path = self.path.resolve()
        return f"{path.parent.name}/{path.name}" if VERSION.fullmatch(path.name) else path.name

    @property
    def refusal(self) -> str:
        """The message for commands that only a run has."""
        return (
            f"{self.path} is a log of {self.program}, not a run of alexplore: it can only be watched, with "
            f"`alexplore runs watch` or `alexplore tui --run`"
        )


@dataclass(frozen=True)
class ForeignMetric:
    """A metric of a log: its curve, whose `epochs` are steps, and its last value with its step."""

    name: str
    curve: Curve
    step: int
    value: float


@dataclass(frozen=True)
class ForeignSnapshot:
    """The current state of a log; `metrics` are sorted by name, `problems` say what can't be read."""

    log: ForeignLog
    metrics: tuple[ForeignMetric, ...] = ()
    problems: tuple[str, ...] = ()


def find_log(path: Path) -> ForeignLog | None:
    """Return the log in a folder, the newest of Lightning's logs in it, or all logs below it; None if there is no log.

    The path of a log's file means its folder.
    """
    try:
        if path.is_file() and _program([path.name]):
            path = path.parent
    except OSError:  # a name that no file can have
        return None
    names = _names(path)
    if program := _program(names):
        return ForeignLog(path, program)
    versions = sorted((int(match[1]), name) for name in names if (match := VERSION.fullmatch(name)))
    for _, name in reversed(versions):
        if program := _program(_names(path / name)):
            return ForeignLog(path / name, program)
    if "lightning_logs" in names and path.name != "lightning_logs":
        return find_log(path / "lightning_logs")
    below = next(logs_below(path), None)
    return ForeignLog(path, below[1].program, several=True) if below else None


def logs_below(path: Path) -> Iterator[tuple[str, ForeignLog]]:
    """Yield the logs in the folders below a folder, each with its relative path; in a log, no other is searched for."""
    folders = deque((name, 1) for name in _names(path))
    for _ in range(MOST_FOLDERS):
        if not folders:
            return
        name, depth = folders.popleft()
        names = _names(path / name)
        if program := _program(names):
            yield name, ForeignLog(path / name, program)
        elif depth < DEEPEST:
            folders.extend((f"{name}/{below}", depth + 1) for below in names)


def _program(names: Sequence[str]) -> str | None:
    if CSV_NAME in names:
        return LIGHTNING
    return TENSORBOARD if any(name.startswith(FILE_PREFIX) for name in names) else None


def _names(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir())
    except OSError:
        return []


class ForeignReader:
    """Reads a log repeatedly: event files from where the last call ended, metrics.csv again when it has changed."""

    def __init__(self, log: ForeignLog) -> None:
        self._log = log
        self._metrics: dict[str, _Metric] = {}
        self._offsets: dict[str, int] = {}  # of event files
        self._damaged: dict[str, str] = {}  # problems of event files, which are not read any further
        self._stamp: tuple[int, int] | None = None  # of metrics.csv
        self._problems: list[str] = []
        self._below: dict[str, tuple[ForeignReader, ForeignSnapshot]] = {}  # of several logs, with the last snapshots
        self._snapshot = ForeignSnapshot(log)

    def poll(self) -> ForeignSnapshot:
        """Return the current state of the log; the same object as before if nothing was added."""
        if self._log.several:
            return self._poll_below()
        changed = self._read_csv() if self._log.program == LIGHTNING else self._read_event_files()
        problems = (*self._damaged.values(), *self._problems)
        if changed or problems != self._snapshot.problems:
            metrics = tuple(self._metrics[name].snapshot(name) for name in sorted(self._metrics))
            self._snapshot = ForeignSnapshot(self._log, metrics, problems)
        return self._snapshot

    def _poll_below(self) -> ForeignSnapshot:
        before, self._below = self._below, {}
        for name, log in logs_below(self._log.path):
            reader = before[name][0] if name in before else ForeignReader(log)
            self._below[name] = reader, reader.poll()
        if [*before] != [*self._below] or any(self._below[name][1] is not old for name, (_, old) in before.items()):
            snapshots = [(name, snapshot) for name, (_, snapshot) in self._below.items()]
            metrics = [
                replace(metric, name=f"{name}/{metric.name}") for name, one in snapshots for metric in one.metrics
            ]
            problems = [problem for _, one in snapshots for problem in one.problems]
            self._snapshot = ForeignSnapshot(self._log, tuple(metrics[:MOST_METRICS]), tuple(problems))
        return self._snapshot

    def _read_event_files(self) -> bool:
        changed, self._problems = False, []
        for name in _names(self._log.path):
            if not name.startswith(FILE_PREFIX) or name in self._damaged:
                continue
            path = self._log.path / name
            try:
                with open_regular(path) as file:
                    file.seek(self._offsets.get(name, 0))
                    for event in read_events(file):
                        changed = True
                        for tag, value in event.values.items():
                            self._add(tag, event.step, value)
                    self._offsets[name] = file.tell()
            except EventFileError as error:
                self._damaged[name] = f"{path}: {error}; everything before it was read"
            except OSError as error:
                self._problems.append(os_error_text(error))
        return changed

    def _read_csv(self) -> bool:
        path = self._log.path / CSV_NAME
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            if stamp == self._stamp:
                return False
            with open_regular(path) as file:
                content = file.read(LARGEST_CSV)
        except OSError as error:
            self._problems = [os_error_text(error)]
            return False
        self._stamp, self._problems, self._metrics = stamp, [], {}
        whole = content[: content.rfind(b"\n") + 1]  # the last line may be torn
        try:
            for step, name, value in _csv_values(whole.decode("utf-8", "replace")):
                self._add(name, step, value)
        except (ValueError, csv.Error) as error:
            self._problems = [f"{path}: {error}"]
        return True

    def _add(self, name: str, step: int, value: float) -> None:
        metric = self._metrics.get(name)
        if metric is None:
            if len(self._metrics) >= MOST_METRICS:
                return
            metric = self._metrics[name] = _Metric()
        metric.add(step, value)


BUFFERED = 500  # values that are added to a curve together


@dataclass
class _Metric:
    """The values read of a metric."""

    builder: CurveBuilder = field(default_factory=CurveBuilder)
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    last: tuple[int, float] = (0, 0.0)

    def add(self, step: int, value: float) -> None:
        self.last = step, value
        self.steps.append(step)
        self.values.append(value)
        if len(self.steps) >= BUFFERED:
            self._build()

    def _build(self) -> None:
        places = [float(step) for step in self.steps]
        self.builder.extend(self.steps, places, self.values, places)
        self.steps, self.values = [], []

    def snapshot(self, name: str) -> ForeignMetric:
        self._build()
        return ForeignMetric(name, self.builder.curve(), *self.last)


def _csv_values(text: str) -> Iterator[tuple[int, str, float]]:
    """Yield step, metric and value of each number of a CSV file; the step of a row without one is the row's number.

    Raises:
        ValueError: it has no header.
    """
    rows = csv.DictReader(io.StringIO(text))
    names = [name for name in rows.fieldnames or () if name and name not in ("step", "epoch")]
    if not names:
        raise ValueError("the first line names no metrics")
    for number, row in enumerate(rows):
        step = _number(row, "step")
        at = number if step is None or not 0 <= step < 2**63 else int(step)
        for name in (*names, "epoch"):
            value = _number(row, name)
            if value is not None:
                yield at, name, value


def _number(row: Mapping[str, str | None], name: str) -> float | None:
    try:
        return float(row.get(name) or "")
    except (ValueError, TypeError):
        return None
