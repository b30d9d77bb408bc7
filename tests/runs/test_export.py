"""Metrics as CSV, as JSON and as an event file."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.export import ROWS_AT_ONCE, MetricsRows, metrics_csv, metrics_json, tensorboard_file
from alexplore.runs.lines import LineWriter
from alexplore.runs.watch import Watch
from tests.support.examples import examples


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path / "runs")


def test_there_is_a_column_for_every_metric(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=1, epoch=0.5, **{"val/acc": 0.5})
        writer.append(step=2, epoch=1.0, **{"train/loss": 2.0})
    header, first, second = "".join(metrics_csv(run)).splitlines()
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
    rows = list(csv.DictReader(io.StringIO("".join(metrics_csv(run)))))
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
    (row,) = csv.DictReader(io.StringIO("".join(metrics_csv(run))))
    assert (row["lr"], row["val/acc"]) == ("0.5", "0.75")


def test_a_run_without_metrics_has_the_leading_columns(run: RunDirectory) -> None:
    assert "".join(metrics_csv(run)).splitlines() == ["step,epoch,attempt,time"]


def write_lines(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        for step in range(1, 4):
            writer.append(step=step, epoch=step / 2, **{"train/loss": 1 / step if step < 3 else math.nan})
    with LineWriter(run.metrics_file, attempt=1) as writer:
        writer.append(step=2, epoch=1.0, **{"train/loss": 0.1, "val/acc": 0.75})


def test_json_has_the_rows_of_the_csv(run: RunDirectory) -> None:
    write_lines(run)
    written = json.loads("".join(metrics_json(run)))
    assert written["run"] == run.name
    rows = list(csv.DictReader(io.StringIO("".join(metrics_csv(run)))))
    assert [{key: str(value) for key, value in row.items()} for row in written["metrics"]] == [
        {key: value for key, value in row.items() if value} for row in rows
    ]
    assert json.loads("".join(metrics_json(RunDirectory(run.path / "none"))))["metrics"] == []


def test_pandas_opens_both(run: RunDirectory) -> None:
    pandas = pytest.importorskip("pandas")
    write_lines(run)
    for frame in (
        pandas.read_csv(io.StringIO("".join(metrics_csv(run)))),
        pandas.DataFrame(json.loads("".join(metrics_json(run)))["metrics"]),
    ):
        assert list(frame["step"]) == [1, 2]
        assert list(frame["train/loss"]) == [1.0, 0.1]
        assert math.isnan(frame["val/acc"][0])
        assert frame["val/acc"][1] == 0.75


def test_tensorboard_opens_the_event_file(run: RunDirectory, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write_lines(run)
    name, content = tensorboard_file(run)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / name).write_bytes(b"".join(content))
    accumulator = accumulators.EventAccumulator(str(tmp_path / "log"))
    accumulator.Reload()
    rows = list(csv.DictReader(io.StringIO("".join(metrics_csv(run)))))
    for key in ("train/loss", "epoch"):
        found = [(event.step, event.value) for event in accumulator.Scalars(key)]
        assert found == [(int(row["step"]), pytest.approx(float(row[key]))) for row in rows]
    (validated,) = accumulator.Scalars("val/acc")
    assert (validated.step, validated.value) == (2, 0.75)
    assert validated.wall_time == pytest.approx(float(rows[1]["time"]))


Lines = list[tuple[int, int, str]]


@examples(100)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2), st.sampled_from(["train/loss", "val/acc"])), max_size=25)
)
def test_a_step_has_what_was_written_last_of_it(tmp_path_factory: pytest.TempPathFactory, lines: Lines) -> None:
    """Lines of (step, attempt, metric): a line replaces later steps, and those of other attempts at its own."""
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    expected: dict[int, tuple[int, dict[str, float]]] = {}
    with run.metrics_file.open("w") as file:
        for value, (step, attempt, key) in enumerate(lines):
            file.write(json.dumps({"step": step, "epoch": 1, "attempt": attempt, "time": 1, key: value}) + "\n")
            expected = {at: row for at, row in expected.items() if at <= step}
            before = expected.get(step, (attempt, {}))
            expected[step] = attempt, {**(before[1] if before[0] == attempt else {}), key: value}
    rows = [(row["step"], row["attempt"], {k: row[k] for k in row if "/" in k}) for row in MetricsRows(run)]
    assert rows == [(step, *expected[step]) for step in sorted(expected)]


def test_a_long_run_is_written_in_pieces(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        for step in range(1, 2 * ROWS_AT_ONCE + 2):
            writer.append(step=step, epoch=1, **{"train/loss": 0.5})
    header, *pieces = metrics_csv(run)
    assert header.startswith("step,")
    assert [len(piece.splitlines()) for piece in pieces] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    assert len(json.loads("".join(metrics_json(run)))["metrics"]) == 2 * ROWS_AT_ONCE + 1
