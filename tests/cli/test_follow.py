"""What the command that follows a run prints when it ends, and which runs that trained nothing it may remove."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.cli.follow import follow
from alexplore.core.errors import FAILED
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import EXPLAINED, NOT_FINITE, ErrorEvent, event_record
from alexplore.runs.status import Status, worker_lock, write_status


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
