"""Metrics as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.export import metrics_csv
from alexplore.runs.lines import LineWriter
from alexplore.runs.watch import Watch


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path / "runs")


def test_there_is_a_column_for_every_metric(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=1, epoch=0.5, **{"val/acc": 0.5})
        writer.append(step=2, epoch=1.0, **{"train/loss": 2.0})
    header, first, second = metrics_csv(run).splitlines()
    assert header == "step,epoch,attempt,time,train/loss,val/acc"
    assert first.startswith("1,0.5,0,")
    assert first.endswith(",,0.5")
    assert second.endswith(",2.0,")


def test_exported_steps_are_those_of_the_last_attempt_that_reached_them(run: RunDirectory) -> None:
    for attempt, steps in enumerate(((5, 10, 15, 20, 20), (12, 18), (17, 25, 25))):
        with LineWriter(run.metrics_file, attempt=attempt) as writer:
            for step in steps:
                writer.append(step=step, epoch=step / 10, **{"train/loss": float(step)})
    with run.metrics_file.open("a") as file:
        file.write('{"step": "x", "attempt": 2, "train/loss": 0.0}\n')
    rows = list(csv.DictReader(io.StringIO(metrics_csv(run))))
    assert [(row["step"], row["attempt"]) for row in rows] == [
        ("5", "0"),
        ("10", "0"),
        ("12", "1"),
        ("17", "2"),
        ("25", "2"),
    ]
    curve = Watch(run).poll().curves["train/loss"]
    assert [float(row["train/loss"]) for row in rows] == list(curve.values)


def test_a_step_that_is_written_twice_has_one_row(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=20, epoch=1.0, lr=0.5)
        writer.append(step=20, epoch=1.0, **{"val/acc": 0.75})
    (row,) = csv.DictReader(io.StringIO(metrics_csv(run)))
    assert (row["lr"], row["val/acc"]) == ("0.5", "0.75")


def test_a_run_without_metrics_has_the_leading_columns(run: RunDirectory) -> None:
    assert metrics_csv(run).splitlines() == ["step,epoch,attempt,time"]
