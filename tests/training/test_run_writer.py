"""What a worker writes of itself, also where the disk is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from alexplore.runs.checkpoint_files import resume_step
from alexplore.runs.protocol import StartEvent, WarningEvent
from alexplore.runs.status import Status, write_status
from alexplore.training.run_writer import NullRunWriter, Position, RunWriter, read_history, read_position
from tests.support.runs import events
from tests.training.conftest import MakeRun


def test_attempts_are_counted_and_earlier_events_found(make_run: MakeRun) -> None:
    run = make_run()
    assert read_history(run).attempts == 0
    for attempt in range(3):
        history = read_history(run)
        assert history.attempts == attempt
        RunWriter(run, history.attempts).event(WarningEvent(f"of {attempt}"))
    history = read_history(run)
    assert [line.head.attempt for line in history.lines] == [0, 1, 2]
    assert history.last(WarningEvent) == WarningEvent("of 2")
    assert history.last(StartEvent) is None


def test_status_is_written_at_most_once_a_second_unless_the_state_changes(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    writer = RunWriter(run, 0)
    writer.starting("importing torch")

    def written() -> tuple[str, int, str | None]:
        status = json.loads(run.status_file.read_text())
        return status["state"], status["step"], status["reason"]

    assert written() == ("starting", 0, "importing torch")
    writer.at("running", 1, 0.1)
    assert written() == ("running", 1, None)
    now += 0.5
    writer.at("running", 2, 0.2)
    assert written() == ("running", 1, None)
    now += 0.6
    writer.at("running", 3, 0.3)
    assert written() == ("running", 3, None)
    writer.at("paused", 4, 0.4)
    assert written() == ("paused", 4, None)
    writer.at("running", 5, 0.5)
    writer.end("failed", "why")
    assert written() == ("failed", 5, "why")
    assert events(run, "end")[0]["reason"] == "why"


def test_lines_wait_while_the_disk_is_full(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    writer = RunWriter(run, 0)
    plain = os.write

    def full(descriptor: int, content: bytes) -> int:
        plain(descriptor, content[:5])
        raise OSError(28, "No space left on device")

    writer.metrics(1, 0.1, {"lr": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        writer.metrics(2, 0.2, {"lr": 1.0})
        writer.metrics(3, 0.3, {"lr": 1.0})
    assert "No space left on device" in capsys.readouterr().err
    writer.metrics(4, 0.4, {"lr": 1.0})
    written = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [line["step"] for line in written] == [1, 2, 3, 4]
    assert [line["seq"] for line in written] == [0, 1, 2, 3]


def test_other_ranks_write_nothing(make_run: MakeRun) -> None:
    run = make_run()
    writer = NullRunWriter()
    writer.starting("x")
    writer.event(WarningEvent("x"))
    writer.metrics(1, 0.1, {"lr": 1.0})
    writer.at("running", 1, 0.1)
    writer.sync()
    writer.end("failed")
    assert not run.status_file.exists()
    assert not run.events_file.exists()


def test_a_resumed_run_begins_where_its_checkpoint_stands(make_run: MakeRun) -> None:
    run = make_run()
    assert read_position(run) == Position()
    (run.checkpoints_folder / "last").mkdir()
    (run.checkpoints_folder / "last" / "manifest.json").write_text('{"step": 12, "epoch": 2}')
    assert read_position(run) == Position(12, 2.0, 2)
    write_status(run, Status("running", step=15, epoch=3.0))  # five steps an epoch
    assert read_position(run) == Position(12, 2.4, 2)
    RunWriter(run, 1, position=read_position(run)).starting("importing torch")
    status = json.loads(run.status_file.read_text())
    assert (status["step"], status["epoch"]) == (12, 2.4)
    (run.checkpoints_folder / "last").rename(run.checkpoints_folder / "previous")  # a kill while `last` was replaced
    assert read_position(run).step == resume_step(run) == 12
    (run.checkpoints_folder / "previous").rename(run.checkpoints_folder / "best")
    assert read_position(run).step == resume_step(run) == 12


@pytest.mark.parametrize("content", ["", "[]", '{"step": "x", "epoch": 1}', '{"step": 1e99, "epoch": NaN}'])
def test_a_damaged_manifest_has_no_position(make_run: MakeRun, content: str) -> None:
    run = make_run()
    (run.checkpoints_folder / "last").mkdir()
    (run.checkpoints_folder / "last" / "manifest.json").write_text(content)
    assert read_position(run) == Position()


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize("where", [">&-", "> /dev/full", "| true"])
def test_a_worker_prints_where_nothing_can_be_written(where: str) -> None:
    code = (
        "import sys; from alexplore.training.console import print_patiently; print_patiently()\n"
        "for _ in range(100): print('\\udc80' * 10_000); print('error', file=sys.stderr)\n"
        "sys.exit(7)"
    )
    command = f'{{ "{sys.executable}" -c "$CODE" {where}; }} 2>&1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "CODE": code}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [*["error"] * 100, "7"]
