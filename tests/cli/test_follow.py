"""What the command that follows a run prints when it ends, and which runs that trained nothing it may remove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alexplore.cli.follow import follow, last_records
from alexplore.core.errors import FAILED
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import EXPLAINED, NOT_FINITE, ErrorEvent, StartEvent, event_record
from alexplore.runs.reconfigure import write_config
from alexplore.runs.status import Status, read_status, worker_lock, write_status

START = StartEvent(0, "cpu", "CPU", 1, 1, "data", "fp32", flops_per_image=1, peak_flops=1.0)


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path / "runs", "one")


def end(run: RunDirectory, status: Status, cause: str | None = None) -> None:
    """Let a worker end the run like this."""
    with worker_lock(run), LineWriter(run.events_file, attempt=0) as writer:
        writer.append(**event_record(ErrorEvent("the reason", cause)))
        write_status(run, status)


def test_a_run_without_a_checkpoint_can_not_be_resumed(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    end(run, Status("failed", step=8, epoch=1.0, reason="the reason"))
    assert follow(run, owner=False) == FAILED
    assert capsys.readouterr().err == "error: one failed: the reason\n"


def test_a_resumed_run_prints_what_is_new_as_json(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    def train(attempt: int) -> None:
        with LineWriter(run.metrics_file, attempt=attempt) as metrics:
            metrics.append(step=attempt + 1, epoch=0.5)
        with LineWriter(run.events_file, attempt=attempt) as events:
            events.append(event="warning", message=f"attempt {attempt}")

    write_status(run, Status("stopped", step=2, epoch=1.0))
    train(0)
    before = last_records(run)
    train(1)
    follow(run, owner=False, as_json=True, after=before)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["attempt"], line.get("step"), line.get("message")) for line in printed] == [
        (1, None, "attempt 1"), (1, 2, None),
    ]  # fmt: skip
    follow(run, owner=False, as_json=True)
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("printed", "words"), [("", "console.log is empty; the disk has "), ("why\n", "console.log:\n  why")]
)
def test_what_a_crashed_worker_printed_is_shown(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], printed: str, words: str
) -> None:
    end(run, Status("running"))
    run.console_file.write_text(printed)
    assert follow(run, owner=False) == FAILED
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trained", "cause", "restored"), [(False, EXPLAINED, True), (False, None, False), (True, EXPLAINED, False)]
)
def test_a_resume_that_fails_before_it_trains_leaves_the_run_as_it_was(
    run: RunDirectory, config: RunConfig, trained: bool, cause: str | None, restored: bool
) -> None:
    write_status(run, Status("finished", step=4, epoch=1.0))
    with LineWriter(run.events_file, attempt=0) as writer:  # the attempt before did train
        writer.append(**event_record(START))
    before = service.state_before(run)
    assert before is not None
    write_config(run, config.change({"device": "cuda"}))
    with LineWriter(run.events_file, attempt=1) as writer:
        if trained:
            writer.append(**event_record(START))
        writer.append(**event_record(ErrorEvent("no GPU", cause)))
    write_status(run, Status("failed", step=4, epoch=1.0, reason="no GPU"))
    assert service.restore_untrained(run, before) is restored
    assert read_status(run).state == ("finished" if restored else "failed")
    assert run.config().hardware.device == (config.hardware.device if restored else "cuda")


@pytest.mark.parametrize(
    ("state", "step", "cause", "removed"),
    [
        ("failed", 0, EXPLAINED, True),
        ("failed", 0, None, False),  # console.log has the traceback
        ("failed", 0, NOT_FINITE, False),
        ("failed", 3, EXPLAINED, False),
        ("stopped", 0, EXPLAINED, False),
        ("running", 0, EXPLAINED, False),  # it has crashed
    ],
)
def test_only_a_run_that_trained_nothing_for_a_stated_reason_is_removed(
    run: RunDirectory, state: str, step: int, cause: str | None, removed: bool
) -> None:
    end(run, Status(state, step=step, reason="the reason"), cause)
    assert service.discard_untrained(run) is removed
    assert run.path.exists() is not removed
