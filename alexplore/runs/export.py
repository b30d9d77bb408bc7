"""A run's metrics for other programs: every step once, by the last attempt that reached it, with its exact values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from alexplore.core.inert import inert_line
from alexplore.runs.curves import put_at_step
from alexplore.runs.directory import RunDirectory
from alexplore.runs.event_files import FILE_PREFIX, ScalarEvent, event_file_start, event_record
from alexplore.runs.lines import finite
from alexplore.runs.protocol import METRICS
from alexplore.runs.reader import RunReader

LEADING = ("step", "epoch", "attempt", "time")


def metrics_rows(run: RunDirectory) -> list[dict[str, Any]]:
    """Return a row for each step with metrics: `LEADING`, and the metrics that it has."""
    rows: dict[int, dict[str, Any]] = {}
    for line in RunReader(run).metrics():
        row = {"step": line.step, "epoch": line.epoch, "attempt": line.head.attempt, "time": line.head.time}
        before = rows.get(line.step, {})
        if before.get("attempt") == line.head.attempt:  # an epoch's last step is written again, with its validation
            row = {**before, **row}
        put_at_step(rows, line.step, {**row, **line.values})
    return list(rows.values())


def metrics_csv(run: RunDirectory) -> str:
    """Return CSV with a row for each step and a column for each metric.

    Metrics come in the order of `METRICS`, those of other versions of alexplore behind them.
    """
    rows = metrics_rows(run)
    found = dict.fromkeys(key for row in rows for key in row)
    columns = list(dict.fromkeys((*LEADING, *(key for key in METRICS if key in found), *found)))
    output = io.StringIO()
    csv.writer(output, lineterminator="\n").writerow(map(inert_line, columns))
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writerows(finite(rows))
    return output.getvalue()


def metrics_json(run: RunDirectory) -> str:
    """Return a JSON object with the run's name and its rows under `metrics`, a line for each step.

    Numbers that are not finite are the strings "NaN", "Infinity" and "-Infinity", as in metrics.jsonl.
    """
    rows = ",\n".join(json.dumps(finite(row)) for row in metrics_rows(run))
    return f'{{"run": {json.dumps(run.name)}, "metrics": [\n{rows}\n]}}\n'


def tensorboard_file(run: RunDirectory) -> tuple[str, bytes]:
    """Return the name and the content of an event file that TensorBoard opens: a scalar for each metric.

    TensorBoard's scalars are in single precision. `epoch` is among them.
    """
    rows = metrics_rows(run)
    start = rows[0]["time"] if rows else 0.0
    content = b"".join((event_file_start(start), *map(event_record, _scalar_events(rows))))
    return f"{FILE_PREFIX}{int(start)}.alexplore", content


def _scalar_events(rows: list[dict[str, Any]]) -> Iterator[ScalarEvent]:
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("step", "attempt", "time")}
        yield ScalarEvent(row["step"], row["time"], values)
