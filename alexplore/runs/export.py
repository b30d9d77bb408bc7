"""A run's metrics for other programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineReader
from alexplore.runs.watch import place


def metrics_csv(run: RunDirectory) -> str:
    """A row for every step with metrics, by the last attempt that reached it; a column for every key."""
    rows: dict[int, dict[str, Any]] = {}
    for record in LineReader(run.metrics_file).read_all():
        match record:
            case {"step": int(step)}:
                before = rows.get(step, {})
                same = before.get("attempt") == record.get("attempt")  # an epoch's last step is told again, validated
                place(rows, step, {**before, **record} if same else record)
    keys = list(dict.fromkeys(["step", "epoch", "attempt", "time", *(key for row in rows.values() for key in row)]))
    output = io.StringIO()
    writer = csv.DictWriter(output, [key for key in keys if key not in ("v", "seq")], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows.values())
    return output.getvalue()
