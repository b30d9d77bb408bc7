"""Summaries of runs: the state and the last values of the metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.metrics import BEST_METRIC
from alexplore.runs.protocol import EpochEvent
from alexplore.runs.reader import MetricValues, RunReader
from alexplore.runs.status import DAMAGED, Status, is_locked


@dataclass(frozen=True)
class Summary:
    """The current state of a run.

    `config` is None if config.json can't be read; then the state is `damaged`, unless a worker trains the run.
    `latest`, `best_epoch`, `last_epoch` and `epochs_per_second` are those of `RunValues`. `problems` says what can't be
    read, each with the file and the reason.
    """

    run: RunDirectory
    status: Status
    config: RunConfig | None
    latest: Mapping[str, float] = field(default_factory=dict)
    best_epoch: EpochEvent | None = None
    last_epoch: EpochEvent | None = None
    epochs_per_second: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        """The share of the training that is done, from 0 to 1; 0 if config.json can't be read."""
        return min(1.0, self.status.epoch / self.total_epochs) if self.total_epochs else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds until the end of the training at the current pace, evaluation included; None if unknown."""
        if not self.epochs_per_second or self.total_epochs is None:
            return None
        return max(0.0, self.total_epochs - self.status.epoch) / self.epochs_per_second

    @property
    def best(self) -> float | None:
        """The highest validation accuracy of a finished epoch."""
        return self.best_epoch.metrics[BEST_METRIC] if self.best_epoch else None

    @property
    def total_epochs(self) -> int | None:
        """The number of epochs to train; None if config.json can't be read."""
        return self.config.recipe.epochs if self.config else None

    @property
    def age(self) -> float:
        """Seconds since the last update of the status; 0 if there was none."""
        return max(0.0, time.time() - self.status.updated) if self.status.updated else 0.0


class RunList:
    """Summarises runs repeatedly, and reads only what has changed since the last time."""

    def __init__(self) -> None:
        self._runs: dict[RunDirectory, tuple[RunReader, MetricValues]] = {}

    def summarise(self, runs: Sequence[RunDirectory]) -> list[Summary]:
        """Return a summary of each run, in the order given."""
        self._runs = {run: self._runs.get(run) or (RunReader(run, tail=True), MetricValues()) for run in runs}
        return [_summary(reader, values) for reader, values in self._runs.values()]


def _summary(reader: RunReader, values: MetricValues) -> Summary:
    status = reader.status()
    for event in reader.events():
        values.add_event(event)
    for block in reader.metrics_blocks():
        values.add_block(block)
    config, problems = None, reader.problems
    try:
        config = reader.config()
    except RunError as error:
        problems = (str(error), *problems)
        if not (status.live and is_locked(reader.run)):
            status = Status(DAMAGED, step=status.step, epoch=status.epoch, updated=status.updated, reason=str(error))
    if status.state == DAMAGED and status.reason and status.reason not in problems:
        problems = (status.reason, *problems)
    found = values.values()
    return Summary(
        reader.run,
        status,
        config,
        found.latest,
        found.best_epoch,
        found.last_epoch,
        found.epochs_per_second,
        problems,
    )
