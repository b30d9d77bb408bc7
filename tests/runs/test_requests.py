"""Requests to a worker from the command line, and the exit codes that say what came of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from alexplore.cli import runs as commands
from alexplore.core.errors import FAILED, AlexploreError
from alexplore.runs.config import RunConfig
from alexplore.runs.control import write_request
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.status import Status, read_status, write_status

WORKER = """
import sys, time
from pathlib import Path
from alexplore.runs.control import take_requests
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import ControlEvent, event_record
from alexplore.runs.status import Status, worker_lock, write_status
run, error, state = RunDirectory(Path(sys.argv[1])), sys.argv[2] or None, sys.argv[3]
with worker_lock(run), LineWriter(run.events_file, 0) as writer:
    write_status(run, Status("running", pid=1, step=7, epoch=0.5, updated=time.time()))
    print("running", flush=True)
    requests = []
    while not requests:
        requests = take_requests(run)
        time.sleep(0.01)
    for request in requests:
        if state != "crashed":
            writer.append(**event_record(ControlEvent(request.id, request.action, 7, error)))
    if state == "running":
        sys.stdin.read()  # until the test is over
    elif state != "crashed":
        write_status(run, Status(state, step=7, epoch=0.5, updated=time.time(), reason=error))
"""

StartWorker = Callable[[str, str | None], RunDirectory]


@pytest.fixture
def worker(heavy: None, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartWorker]:
    """Start a worker that answers requests, with an error if one is given, and is in a state then."""
    monkeypatch.setattr(commands, "SOON_SECONDS", 60.0)
    processes = []

    def start(state: str, error: str | None = None) -> RunDirectory:
        run = create_run(config, tmp_path / "runs", "one")
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(run.path), error or "", state],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        return run

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def exit_code(command: Callable[[str], object]) -> int:
    """Call a command as the command line would."""
    try:
        command("one")
    except typer.Exit as stopped:
        return stopped.exit_code
    except AlexploreError as error:
        typer.echo(f"error: {error}", err=True)
        return error.exit_code
    return 0


def test_a_run_that_has_stopped(worker: StartWorker, capsys: pytest.CaptureFixture[str]) -> None:
    run = worker("stopped", None)
    assert exit_code(commands.stop) == 0
    assert read_status(run).state == "stopped"
    assert capsys.readouterr().err == "one stopped at epoch 0.50; resume with: alexplore runs resume one\n"


def test_a_run_that_agreed_and_still_runs_is_no_success(
    worker: StartWorker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = worker("running", None)
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 0.3)
    assert exit_code(commands.stop) == 1
    assert read_status(run).live
    assert capsys.readouterr().err == (
        "one has agreed to stop, but still runs; see how it ends with: alexplore runs watch one\n"
    )


@pytest.mark.parametrize("action", ["stop", "pause", "checkpoint"])
def test_a_run_that_does_not_answer_is_no_success(
    worker: StartWorker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    run = worker("running", None)
    (run.control_folder / "0-first.json").write_text('{"action": "resume"}')  # all that the worker answers
    monkeypatch.setattr("alexplore.runs.control.write_atomically", lambda *_: None)
    monkeypatch.setattr(commands, "SOON_SECONDS", 0.1)
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 0.2)
    assert exit_code(getattr(commands, action)) == 1
    assert read_status(run).live
    announced, told = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"one is running; waiting for its answer until \d\d:\d\d:\d\d", announced)
    assert told == f"one has not answered in 0 s; it was asked to {action} and may still do so"


def test_a_run_that_could_not_save_its_checkpoint_is_no_success(
    worker: StartWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker("stopped", "no checkpoint at step 7: the disk is full")
    assert exit_code(commands.stop) == 1
    assert capsys.readouterr().err == "error: one stopped: no checkpoint at step 7: the disk is full\n"


def test_a_run_that_crashed_before_it_could_stop_is_no_success(
    worker: StartWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker("crashed", None)
    assert exit_code(commands.stop) == 1
    assert capsys.readouterr().err.startswith("error: one crashed: the worker died at epoch 0.50, step 7")


def test_a_run_that_finished_first_has_ended_well(worker: StartWorker, capsys: pytest.CaptureFixture[str]) -> None:
    worker("finished", None)
    assert exit_code(commands.stop) == 0
    assert capsys.readouterr().err == "one finished before it could stop\n"


@pytest.mark.parametrize("action", ["pause", "checkpoint"])
@pytest.mark.parametrize(
    ("state", "error", "code", "words"),
    [
        ("running", None, 0, ""),
        ("running", "it can't be", 1, "error: one: it can't be"),
        ("crashed", None, 1, "error: one crashed before it could {}"),
    ],
)
def test_pause_and_checkpoint(
    worker: StartWorker,
    capsys: pytest.CaptureFixture[str],
    action: str,
    state: str,
    error: str | None,
    code: int,
    words: str,
) -> None:
    worker(state, error)
    assert exit_code(getattr(commands, action)) == code
    told = capsys.readouterr().err
    assert told.startswith(
        words.format(action) or {"pause": "one paused; resume with", "checkpoint": "one: saved in"}[action]
    )


@pytest.mark.parametrize("action", ["stop", "pause", "checkpoint"])
def test_a_run_without_a_worker_can_not_be_asked(config: RunConfig, tmp_path: Path, action: str) -> None:
    write_status(create_run(config, tmp_path / "runs", "one"), Status("stopped"))
    assert exit_code(getattr(commands, action)) == 2


def test_a_request_that_can_not_be_written_is_a_failure(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "one")
    run.control_folder.rmdir()
    run.control_folder.write_text("")
    with pytest.raises(RunError, match="control: File exists") as told:
        write_request(run, "stop")
    assert told.value.exit_code == FAILED
