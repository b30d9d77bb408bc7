"""Metrics: every one declared is written, read, told, compared and exported."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest

from alexplore.runs.compare import compare_runs
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.export import metrics_csv
from alexplore.runs.lines import LineWriter
from alexplore.runs.messages import metric_texts
from alexplore.runs.metrics import MACHINE_METRICS, METRICS, TIME_METRICS
from alexplore.runs.protocol import MetricsLine, metrics_record
from alexplore.runs.watch import Watch


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path, "run")


DECLARED = {**METRICS, **MACHINE_METRICS, **TIME_METRICS}


@pytest.mark.parametrize("key", DECLARED)
def test_every_metric_is_written_read_told_compared_and_exported(run: RunDirectory, key: str) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(**metrics_record(MetricsLine(4, 0.5, {key: 0.123456})))
        writer.append(**metrics_record(MetricsLine(8, 1.0, {key: math.nan})))
        writer.append(**metrics_record(MetricsLine(9, 1.1, {key: 0.75})))
    snapshot = Watch(run).poll()
    assert snapshot.latest == {key: 0.75}
    assert tuple(snapshot.curves[key].epochs) == (0.5, 1.0, 1.1)
    metric = DECLARED[key]
    texts = metric_texts(snapshot.latest, declared=DECLARED)
    assert len(texts) == (metric.phrase is not None)
    assert all(metric.number(0.75) in text for text in texts)
    rows = list(csv.DictReader(io.StringIO("".join(metrics_csv(run)))))
    assert [row[key] for row in rows] == ["0.123456", "NaN", "0.75"]
    results = {row.name: row for row in compare_runs([snapshot, snapshot])}
    assert (key in results) == (key in METRICS and metric.higher_is_better is not None)
    assert metric.title
    assert metric.heading
    assert metric.number(None) == "–"


def test_keys_of_the_contract_are_declared() -> None:
    assert {"train/loss", "train/acc", "val/loss", "val/acc", "val/acc5", "lr", "images_per_second"} <= set(METRICS)
