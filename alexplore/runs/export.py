"""A run's metrics for other programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from alexplore.core.inert import inert_line
from alexplore.runs.curves import put_at_step
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import finite
from alexplore.runs.protocol import METRICS
from alexplore.runs.reader import RunReader

LEADING = ("step", "epoch", "attempt", "time")


def metrics_csv(run: RunDirectory) -> str:
    """Return CSV with a row for every step with metrics, by the last attempt that reached it, and a column a metric.

    Metrics come in the order of `METRICS`, those of other versions of alexplore behind them.
    """
    rows: dict[int, dict[str, Any]] = {}
    for line in RunReader(run).metrics():
        row = {"step": line.step, "epoch": line.epoch, "attempt": line.head.attempt, "time": line.head.time}
        before = rows.get(line.step, {})
        if before.get("attempt") == line.head.attempt:  # an epoch's last step is written again, with its validation
            row = {**before, **row}
        put_at_step(rows, line.step, {**row, **line.values})
    found = dict.fromkeys(key for row in rows.values() for key in row)
    columns = list(dict.fromkeys((*LEADING, *(key for key in METRICS if key in found), *found)))
    output = io.StringIO()
    csv.writer(output, lineterminator="\n").writerow(map(inert_line, columns))
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writerows(finite(list(rows.values())))
    return output.getvalue()
