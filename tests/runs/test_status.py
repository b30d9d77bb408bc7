"""Liveness is the lock: no process number, no time-out."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.control import forget_requests, pending, request
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.status import STARTING_SECONDS, Status, is_locked, read_status, worker_lock, write_status
from tests.support.processes import Alexplore

HOLDER = """
import sys, time
from pathlib import Path
from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import Status, worker_lock, write_status
run = RunDirectory(Path(sys.argv[1]))
with worker_lock(run):
    write_status(run, Status("running", pid=1, step=7, epoch=0.5, updated=time.time()))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path / "runs")


Hold = Callable[[RunDirectory], "subprocess.Popen[str]"]


@pytest.fixture
def hold(heavy: None) -> Iterator[Hold]:
    """Return what starts a process that holds a run's lock, as a worker does; it is killed after the test."""
    holders = []

    def start(run: RunDirectory) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in holders:
        process.kill()
        process.wait()


def test_a_killed_worker_is_crashed_at_once(run: RunDirectory, hold: Hold) -> None:
    holder = hold(run)
    assert is_locked(run)
    assert read_status(run).state == "running"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    status = read_status(run)
    assert status.state == "crashed"
    assert status.resumable
    assert "step 7" in (status.reason or "")
    assert json.loads(run.status_file.read_text())["state"] == "running"


def test_two_workers_never_share_a_run(run: RunDirectory, hold: Hold) -> None:
    holder = hold(run)
    with pytest.raises(RunError, match="already being trained"), worker_lock(run):
        pass
    holder.kill()
    holder.wait()
    with worker_lock(run):
        pass


def test_looking_never_takes_the_lock_from_a_worker(run: RunDirectory, hold: Hold) -> None:
    hold(run)
    for _ in range(100):
        read_status(run)
    assert is_locked(run)


@pytest.mark.parametrize("state", ["stopped", "finished", "failed"])
def test_what_ended_in_words_is_believed(run: RunDirectory, state: str) -> None:
    write_status(run, Status(state, pid=1, step=3, epoch=0.1))
    assert read_status(run).state == state


def test_a_new_run_is_starting_and_an_old_one_without_a_word_has_crashed(run: RunDirectory) -> None:
    assert read_status(run).state == "starting"
    old = replace(run.config(), created=time.time() - 2 * STARTING_SECONDS)
    run.config_file.write_text(old.to_json())
    assert read_status(run).state == "crashed"


def test_a_worker_that_says_nothing_is_silent_unless_it_waits(
    alexplore: Alexplore, run: RunDirectory, hold: Hold
) -> None:
    holder = hold(run)
    for state, ago, said in (
        ("running", 125, "running, no update for 2:0"),
        ("starting", 125, "starting, no update for 2:0"),
        ("running", -5, "running at epoch"),
        ("paused", 125, "paused at epoch"),
    ):
        write_status(run, Status(state, step=7, epoch=0.5, updated=time.time() - ago))
        assert f"\n{said}" in alexplore("runs", "show", run.name).stdout
        assert said.removesuffix(" at epoch") in alexplore("runs", "list").stdout
    holder.kill()
    holder.wait()
    assert "no update" not in alexplore("runs", "list").stdout


@pytest.mark.parametrize("action", ["stop", "pause", "checkpoint"])
def test_who_asks_learns_that_an_answer_is_waited_for(run: RunDirectory, action: str, hold: Hold) -> None:
    holder = hold(run)
    asking = subprocess.Popen(
        [sys.executable, "-m", "alexplore", "runs", action, run.name], stderr=subprocess.PIPE, text=True
    )
    assert asking.stderr is not None
    said = asking.stderr.readline()
    assert re.fullmatch(rf"{run.name} is running; waiting for its answer until \d\d:\d\d:\d\d\n", said)
    holder.kill()
    holder.wait()
    assert "crashed" in asking.communicate(timeout=60)[1]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": 3}', '{"state": "running", "step": "x", "epoch": 0}'])
def test_a_damaged_status_is_named(run: RunDirectory, content: str) -> None:
    run.status_file.write_text(content)
    status = read_status(run)
    assert status.state == "damaged"
    assert str(run.status_file) in str(status.reason)


def test_requests_are_answered_once_and_in_order(run: RunDirectory, hold: Hold) -> None:
    with pytest.raises(RunError, match="no worker to stop"):
        write_status(run, Status("stopped"))
        request(run, "stop")
    hold(run)
    made = [request(run, "checkpoint"), request(run, "stop")]
    assert pending(run) == made
    assert pending(run) == []
    request(run, "stop")
    (run.control_folder / "x.json").write_text('{"action": "explode"}')
    forget_requests(run)
    assert pending(run) == []
