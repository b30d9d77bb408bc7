"""Build the curves of all metrics of a run, from blocks of its lines, or quickly from a sample of them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alexplore.runs.curves import Curve, CurveBuilder
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import sample_blocks
from alexplore.runs.metrics import METRICS, Recorded, metric_of
from alexplore.runs.metrics_block import MetricsBlock, read_block
from alexplore.runs.protocol import EpochEvent
from alexplore.runs.reader import MetricValues, RunReader

SAMPLE_PIECES, SAMPLE_BYTES = 400, 8 * 1024
"""How many pieces of metrics.jsonl a preview reads, and how long each is."""


class CurveBuilders:
    """Builds a curve for each metric, in bounded memory."""

    def __init__(self) -> None:
        self._builders: dict[str, CurveBuilder] = {}
        self._clock = Clock()

    def add(self, block: MetricsBlock) -> None:
        """Add lines of metrics.jsonl."""
        minutes = array("d", self._clock.minutes(block))
        steps, epochs = array("q", block.steps), array("d", block.epochs)
        for key in sorted(block.keys):
            if metric_of(key) is None:
                continue
            at, values = block.column(key)
            builder = self._builders.setdefault(key, CurveBuilder())
            if len(at) == len(steps):
                builder.extend(steps, epochs, values, minutes)
            else:
                builder.extend([steps[i] for i in at], [epochs[i] for i in at], values, [minutes[i] for i in at])

    def curves(self) -> Mapping[str, Curve]:
        """Return the curves so far by the keys of their metrics."""
        return {key: builder.curve() for key, builder in self._builders.items()}


class Clock:
    """Counts the minutes of training, without the time between two attempts. A clock that was set back adds nothing."""

    def __init__(self) -> None:
        self._past = CurveBuilder()  # the minutes at each step
        self._minutes: float | None = None
        self._step, self._attempt, self._time = 0, 0, 0.0

    def minutes(self, block: MetricsBlock) -> Sequence[float]:
        """Return the minutes of training at each line of a block. Pass the blocks in the order of the file."""
        steps, epochs = block.steps, block.epochs
        minutes: list[float] = []
        kept = 0  # lines whose minutes `_past` knows
        for index, (step, attempt, time) in enumerate(zip(steps, block.attempts, block.times, strict=True)):
            if step < self._step:
                self._past.extend(steps[kept:index], epochs[kept:index], minutes[kept:index], minutes[kept:index])
                kept, self._minutes = index, self._past.value_at(step)
            if self._minutes is None:
                self._minutes = 0.0
            elif attempt == self._attempt and time > self._time:
                self._minutes += (time - self._time) / 60
            self._step, self._attempt, self._time = step, attempt, time
            minutes.append(self._minutes)
        self._past.extend(steps[kept:], epochs[kept:], minutes[kept:], minutes[kept:])
        return minutes


@dataclass(frozen=True)
class Preview:
    """Curves of a sample of a long run's lines, and its last values, shown until the whole run has been read."""

    curves: Mapping[str, Curve]
    values: MetricValues


def preview(run: RunDirectory, epochs: Sequence[EpochEvent]) -> Preview:
    """Return curves of a sample of a run's lines; metrics that are recorded once an epoch come from its `epochs`."""
    builders, values = CurveBuilders(), MetricValues()
    for records in sample_blocks(run.metrics_file, SAMPLE_PIECES, SAMPLE_BYTES):
        builders.add(read_block(records))
    for block in RunReader(run, tail=True).metrics_blocks():
        values.add_block(block)
    curves = dict(builders.curves())
    for key, metric in METRICS.items():
        measured = [epoch for epoch in epochs if key in epoch.metrics]
        if metric.recorded is Recorded.PER_EPOCH and measured:
            curves[key] = Curve(
                array("d", [epoch.epoch for epoch in measured]),
                array("d", [epoch.metrics[key] for epoch in measured]),
                array("d", [epoch.seconds / 60 for epoch in measured]),
            )
    return Preview(curves, values)
