"""What a worker writes of itself, also where the disk is full."""

from __future__ import annotations

import json
import os
import time

import pytest

from alexplore.training.run_writer import Journal, SilentJournal, read_history
from tests.support.runs import events
from tests.training.conftest import MakeRun


def test_attempts_are_counted_and_earlier_events_found(make_run: MakeRun) -> None:
    run = make_run()
    assert read_history(run).attempts == 0
    for attempt in range(3):
        history = read_history(run)
        assert history.attempts == attempt
        Journal(run, history.attempts).event("start", threads=attempt)
    last = read_history(run).last("start")
    assert last is not None
    assert (last["attempt"], last["threads"]) == (2, 2)
    assert read_history(run).last("nothing") is None


def test_status_is_written_at_most_once_a_second_unless_the_state_changes(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    journal = Journal(run, 0)
    journal.starting("importing torch")

    def written() -> tuple[str, int, str | None]:
        status = json.loads(run.status_file.read_text())
        return status["state"], status["step"], status["reason"]

    assert written() == ("starting", 0, "importing torch")
    journal.at("running", 1, 0.1)
    assert written() == ("running", 1, None)
    now += 0.5
    journal.at("running", 2, 0.2)
    assert written() == ("running", 1, None)
    now += 0.6
    journal.at("running", 3, 0.3)
    assert written() == ("running", 3, None)
    journal.at("paused", 4, 0.4)
    assert written() == ("paused", 4, None)
    journal.at("running", 5, 0.5)
    journal.end("failed", "why")
    assert written() == ("failed", 5, "why")
    assert events(run, "end")[0]["reason"] == "why"


def test_lines_wait_while_the_disk_is_full(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    journal = Journal(run, 0)
    plain = os.write

    def full(descriptor: int, content: bytes) -> int:
        plain(descriptor, content[:5])
        raise OSError(28, "No space left on device")

    journal.metrics(1, 0.1, lr=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        journal.metrics(2, 0.2, lr=1.0)
        journal.metrics(3, 0.3, lr=1.0)
    assert "No space left on device" in capsys.readouterr().err
    journal.metrics(4, 0.4, lr=1.0)
    written = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [line["step"] for line in written] == [1, 2, 3, 4]
    assert [line["seq"] for line in written] == [0, 1, 2, 3]


def test_other_ranks_write_nothing(make_run: MakeRun) -> None:
    run = make_run()
    journal = SilentJournal()
    journal.starting("x")
    journal.event("x")
    journal.metrics(1, 0.1, lr=1.0)
    journal.at("running", 1, 0.1)
    journal.sync()
    journal.end("failed")
    assert not run.status_file.exists()
    assert not run.events_file.exists()
