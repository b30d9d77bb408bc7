"""Export a run's metrics for other programs: every step once, as the last attempt wrote it, with exact values.

The lines are read twice: first to see which of them count, then one by one, so that a long run takes little memory.
"""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from alexplore.core.inert import inert_line
from alexplore.runs.directory import RunDirectory
from alexplore.runs.event_files import FILE_PREFIX, ScalarEvent, event_file_start, event_record
from alexplore.runs.lines import HEAD, finite, read_number
from alexplore.runs.metrics import METRICS
from alexplore.runs.reader import RunReader

LEADING = ("step", "epoch", "attempt", "time")

ROWS_AT_ONCE = 1000
"""Rows that are written together."""

Row = dict[str, Any]
"""What is exported for a step: the values of `LEADING`, and its metrics."""


class MetricsRows:
    """The rows of a run. Every iteration is over the lines that were there when the object was created."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._steps = array("q")
        keys: dict[str, None] = {}
        for block in RunReader(run).metrics_blocks():
            self._steps.extend(block.steps)
            for record in block.records:
                if not record.keys() <= keys.keys():
                    keys.update((key, None) for key, value in record.items() if read_number(value) is not None)
        self._counts = _not_replaced(self._steps)
        self._keys = tuple(keys)

    @property
    def columns(self) -> list[str]:
        """`LEADING`, and the keys of the metrics: those of `METRICS` in their order, then the others."""
        known = [key for key in METRICS if key in self._keys]
        return list(dict.fromkeys((*LEADING, *known, *(key for key in self._keys if key not in HEAD))))

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in order of steps."""
        last: Row | None = None
        for line, counts in zip(RunReader(self._run).metrics(), self._counts, strict=False):
            if not counts:
                continue
            row: Row = {"step": line.step, "epoch": line.epoch, "attempt": line.head.attempt, "time": line.head.time}
            if last is not None and last["step"] == line.step:
                if last["attempt"] == line.head.attempt:  # an epoch's last step is written again, with its validation
                    row = {**last, **row}
            elif last is not None:
                yield last
            last = {**row, **line.values}
        if last is not None:
            yield last


def _not_replaced(steps: Sequence[int]) -> bytearray:
    """Return 1 for each line that counts, and 0 if a later line has an earlier step: a resumed run repeats steps."""
    counts, lowest = bytearray(len(steps)), 2**63
    for index in range(len(steps) - 1, -1, -1):
        if steps[index] <= lowest:
            counts[index], lowest = 1, steps[index]
    return counts


def metrics_csv(run: RunDirectory) -> Iterator[str]:
    """Yield CSV in pieces: a row for each step, and a column for each metric.

    The columns are in the order of `METRICS`, then those of layers, of the machine and of other versions.
    """
    rows = MetricsRows(run)
    columns = rows.columns
    yield _csv([map(inert_line, columns)])
    for some in _parts(rows):
        yield _csv([row.get(key, "") for key in columns] for row in finite(some))


def _csv(lines: Iterable[Iterable[Any]]) -> str:
    output = io.StringIO()
    csv.writer(output, lineterminator="\n").writerows(lines)
    return output.getvalue()


def metrics_json(run: RunDirectory) -> Iterator[str]:
    """Yield in pieces a JSON object with the run's name, and its rows under `metrics`, one line for each step.

    Numbers that are not finite are the strings "NaN", "Infinity" and "-Infinity", as in metrics.jsonl.
    """
    yield f'{{"run": {json.dumps(run.name)}, "metrics": [\n'
    between = ""
    for some in _parts(MetricsRows(run)):
        yield between + ",\n".join(json.dumps(finite(row)) for row in some)
        between = ",\n"
    yield "\n]}\n"


def tensorboard_file(run: RunDirectory) -> tuple[str, Iterator[bytes]]:
    """Return the name of a TensorBoard event file, and its content in pieces: a scalar for each metric, and `epoch`.

    TensorBoard's scalars are in single precision.
    """
    rows = MetricsRows(run)
    first = next(iter(rows), None)
    start = first["time"] if first else 0.0
    return f"{FILE_PREFIX}{int(start)}.alexplore", _event_file(rows, start)


def _event_file(rows: Iterable[Row], start: float) -> Iterator[bytes]:
    yield event_file_start(start)
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("step", "attempt", "time")}
        yield event_record(ScalarEvent(row["step"], row["time"], values))


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists of `ROWS_AT_ONCE`."""
    remaining = iter(rows)
    while some := list(islice(remaining, ROWS_AT_ONCE)):
        yield some
