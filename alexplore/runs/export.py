"""A run's metrics for other programs."""

from __future__ import annotations

import csv
import io

from alexplore.runs.directory import RunDirectory
from alexplore.runs.events import LineReader


def metrics_csv(run: RunDirectory) -> str:
    """Every metrics line as a row; a column for every key, those of the record itself first."""
    records = list(LineReader(run.metrics_file).read_all())
    keys = list(dict.fromkeys(["step", "epoch", "attempt", "time", *(key for record in records for key in record)]))
    output = io.StringIO()
    writer = csv.DictWriter(output, [key for key in keys if key not in ("v", "seq")], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(records)
    return output.getvalue()
