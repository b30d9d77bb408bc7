"""Runs in one line each: the last values, found without reading all of a run, and again without reading it anew."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.messages import SUMMARY_HEADINGS, progress_text, summary_cells
from alexplore.runs.protocol import (
    CheckpointEvent,
    EpochEvent,
    Event,
    MetricsLine,
    StartEvent,
    WarningEvent,
    event_record,
    metrics_record,
)
from alexplore.runs.reader import TAIL_BYTES
from alexplore.runs.status import Status, write_status
from alexplore.runs.summary import RunList, Summary
from alexplore.runs.watch import Watch
from tests.support.runs import change_run


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    run = create_run(config, tmp_path / "runs", "run")
    write_status(run, Status("stopped", step=20, epoch=1.234, updated=1.0))
    return run


def summarise(run: RunDirectory) -> Summary:
    return RunList().summarise([run])[0]


def write(run: RunDirectory, lines: Iterable[MetricsLine] = (), events: Iterable[Event] = (), attempt: int = 0) -> None:
    with LineWriter(run.metrics_file, attempt) as metrics_writer, LineWriter(run.events_file, attempt) as event_writer:
        for line in lines:
            metrics_writer.append(**metrics_record(line))
        for event in events:
            event_writer.append(**event_record(event))


def steps(first: int, last: int) -> list[MetricsLine]:
    """Lines of an epoch of 1,000 steps."""
    return [
        MetricsLine(step, step / 1000, {"train/loss": 1 / step, "train/acc": 0.5, "lr": 0.1, "images_per_second": 99.0})
        for step in range(first, last + 1)
    ]


@pytest.mark.parametrize("in_events", [True, False])
def test_the_validation_of_the_last_epoch_is_known_in_the_middle_of_a_long_one(
    run: RunDirectory, in_events: bool
) -> None:
    values = {"val/loss": 0.75, "val/acc": 0.875}
    write(run, [*steps(1, 1000), MetricsLine(1000, 1.0, values), *steps(1001, 2900)])
    if in_events:
        write(run, events=[EpochEvent(1, 1000, values), *[WarningEvent("x" * 100)] * 1000])
    assert run.metrics_file.stat().st_size > TAIL_BYTES[1] * 4
    summary = summarise(run)
    assert summary.latest == {
        "train/loss": 1 / 2900, "train/acc": 0.5, "lr": 0.1, "images_per_second": 99.0, "val/loss": 0.75,
        "val/acc": 0.875,
    }  # fmt: skip
    assert summary.latest == Watch(run).poll().latest


def test_what_was_read_of_a_run_is_read_no_more(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run, [MetricsLine(10, 0.5, {"train/loss": 2.0})], [EpochEvent(1, 8, {"val/acc": 0.5})])
    run_list = RunList()
    (first,) = run_list.summarise([run])
    opened: list[Path] = []
    open_file = os.open

    def note(path: Path, *arguments: Any, **options: Any) -> int:
        opened.append(path)
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", note)
    assert run_list.summarise([run]) == [first]
    assert opened == [run.status_file]

    write(run, [MetricsLine(11, 0.6, {"train/loss": 1.0})], attempt=1)
    write_status(run, Status("finished", step=20, epoch=2.0, updated=1.0))
    (changed,) = run_list.summarise([run])
    assert (changed.latest["train/loss"], changed.status.state) == (1.0, "finished")
    assert changed.latest["val/acc"] == 0.5
    change_run(run, {"epochs": 7})
    assert run_list.summarise([run])[0].total_epochs == 7
    run.config_file.unlink()
    (without,) = run_list.summarise([run])
    assert without.config is None
    assert progress_text(without) == "2.00/?"


def test_a_run_that_is_gone_is_forgotten_and_the_order_is_kept(
    run: RunDirectory, config: RunConfig, tmp_path: Path
) -> None:
    other = create_run(config, tmp_path / "runs", "other")
    run_list = RunList()
    assert [summary.run for summary in run_list.summarise([run, other])] == [run, other]
    assert [summary.run for summary in run_list.summarise([other])] == [other]
    assert [summary.run for summary in run_list.summarise([other, run])] == [other, run]


def test_epochs_that_a_resumed_run_repeats_count_no_more(run: RunDirectory) -> None:
    start = StartEvent(4, "cpu", "CPU", 1, 1, "data", "fp32", 1, 1.0)
    filler = [WarningEvent("x" * 1000)] * 20
    write(run, events=[EpochEvent(1, 4, {"val/acc": 0.1}), *filler, EpochEvent(2, 8, {"val/acc": 0.9})])
    assert summarise(run).latest["val/acc"] == 0.9
    write(run, events=[start, CheckpointEvent(4, 1, False, 0.1)], attempt=1)
    assert summarise(run).latest["val/acc"] == 0.1
    assert Watch(run).poll().latest["val/acc"] == 0.1


def test_validation_in_metrics_that_a_resumed_run_repeats_counts_no_more(run: RunDirectory) -> None:
    write(run, [MetricsLine(8, 2.0, {"val/acc": 0.9})])
    write(run, [MetricsLine(5, 1.25, {"train/loss": 1.0})], attempt=1)
    assert summarise(run).latest == {"train/loss": 1.0}


def epoch(number: int, accuracy: float) -> EpochEvent:
    return EpochEvent(number, 4 * number, {"val/acc": accuracy, "train/loss": 1 / number}, seconds=1.0)


SPOOF = WarningEvent('"event": "epoch", "val/acc": 0.99, ')


@pytest.mark.parametrize(
    ("events", "best", "last"),
    [
        ([epoch(1, 0.9), epoch(2, 0.4), SPOOF, epoch(3, 0.6), SPOOF], 1, 3),
        ([epoch(1, 0.5), epoch(2, 0.5)], 1, 2),
        ([epoch(1, 1e-05), epoch(2, 0.0)], 1, 2),
        ([epoch(1, 0.5), epoch(2, 1.0)], 2, 2),
        ([EpochEvent(1, 4, {"train/loss": 1.0}), epoch(2, 0.1), EpochEvent(3, 12, {})], 2, 3),
        ([EpochEvent(1, 4, {"train/loss": 1.0})], None, 1),
        ([SPOOF], None, None),
        ([], None, None),
    ],
)
def test_the_best_and_the_last_epoch_are_found_among_all_events(
    run: RunDirectory, events: list[Event], best: int | None, last: int | None
) -> None:
    write(run, events=events)
    for summary in (summarise(run), Watch(run).poll()):
        assert (summary.best_epoch and summary.best_epoch.epoch) == best
        assert (summary.last_epoch and summary.last_epoch.epoch) == last


def test_damaged_lines_of_epochs_do_not_count(run: RunDirectory) -> None:
    write(run, events=[epoch(1, 0.5), epoch(2, 0.8), epoch(3, 0.7), epoch(4, 0.6), epoch(5, 0.4)])
    lines = run.events_file.read_text().splitlines()
    lines[1] = lines[1].replace('"step": 8', '"step": "8"')
    lines[2] = lines[2].removesuffix("}")
    run.events_file.write_text("\n".join([*lines, lines[0][:30]]))
    for summary in (summarise(run), Watch(run).poll()):
        assert summary.best_epoch == epoch(4, 0.6)
        assert summary.last_epoch == epoch(5, 0.4)


def test_a_line_of_a_table_has_the_same_formats_everywhere(run: RunDirectory) -> None:
    write(run, [MetricsLine(1, 0.1, {"train/loss": math.pi, "images_per_second": 1234.56, "val/acc": math.nan})])
    cells = dict(zip(SUMMARY_HEADINGS, summary_cells(summarise(run)), strict=True))
    assert cells.pop("updated").endswith(" ago")
    assert cells == {
        "run": "run", "state": "stopped", "epoch": "1.23/2", "best": "–", "loss": "3.142", "validation": "nan",
        "images/s": "1,235",
    }  # fmt: skip


def test_a_run_without_files_has_no_values(config: RunConfig, tmp_path: Path) -> None:
    cells = summary_cells(summarise(create_run(config, tmp_path, "new")))
    assert cells == ("new", "starting", "0.00/2", "–", "–", "–", "–", "–")
