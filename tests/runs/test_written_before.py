"""A run directory that the version before typed events wrote: two attempts, stopped in the third of four epochs.

The files in data/written-before are those of a worker of that version, on the synthetic data set.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from alexplore.runs.directory import RunDirectory, creation_time, list_runs
from alexplore.runs.messages import summary_cells
from alexplore.runs.protocol import UnknownEvent
from alexplore.runs.status import read_status
from alexplore.runs.summary import RunList
from alexplore.runs.watch import Watch
from tests.support.processes import Alexplore

DATA = Path(__file__).parent / "data" / "written-before"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(DATA, tmp_path / "runs" / "written-before"))


def test_it_is_listed_with_its_numbers_and_the_time_of_its_first_event(run: RunDirectory) -> None:
    assert summary_cells(RunList().summarise([run])[0])[:-1] == (
        "written-before",
        "stopped",
        "2.68/4",
        "86.7%",
        "0.241",
        "86.7%",
        "708",
    )
    assert list_runs(run.path.parent) == [run]
    first = json.loads(run.events_file.read_text().splitlines()[0])
    assert creation_time(run) == first["time"]


def test_all_of_its_events_are_known(run: RunDirectory) -> None:
    snapshot = Watch(run).poll()
    assert len(snapshot.events) == 16
    assert not [line for line in snapshot.events if isinstance(line.event, UnknownEvent)]
    assert [(epoch.epoch, epoch.step) for epoch in snapshot.epochs] == [(1, 50), (2, 100)]
    assert snapshot.attempt == 1
    assert snapshot.first_step(1) == 50
    assert len(snapshot.curves["train/loss"].values) == 134


def test_it_is_shown_and_exported(alexplore: Alexplore, run: RunDirectory) -> None:
    shown = alexplore("runs", "show", "written-before").stdout.splitlines()
    assert "stopped at epoch 2.68/4, step 134" in shown
    assert shown[-1] == "epoch 2/4 · loss 0.719 · train 84.7% · validation 86.7% · top-5 100.0% · 1,977 images/s"
    rows = list(csv.DictReader(io.StringIO(alexplore("runs", "export", "written-before").stdout)))
    assert [int(row["step"]) for row in rows] == list(range(1, 135))
    assert {row["attempt"] for row in rows} == {"0", "1"}
    assert rows[99]["val/acc"] == "0.8666666666666667"


@pytest.mark.usefixtures("heavy")
def test_it_is_resumed_from_its_checkpoint(alexplore_process: Alexplore, run: RunDirectory) -> None:
    before = run.metrics_file.read_bytes()
    done = alexplore_process("runs", "resume", "written-before")
    assert done.returncode == 0, done.stderr
    assert "attempt 3, from step 134" in done.stderr
    assert [line.split(" · ")[0] for line in done.stdout.splitlines()] == ["epoch 3/4", "epoch 4/4"]
    status = read_status(run)
    assert (status.state, status.step, status.epoch) == ("finished", 200, 4.0)
    assert run.metrics_file.read_bytes().startswith(before)
    assert [epoch.step for epoch in Watch(run).poll().epochs] == [50, 100, 150, 200]
