"""Liveness is the lock: no process number, no time-out."""

from __future__ import annotations

import json
import os
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
from alexplore.runs.control import remove_requests, send_request, take_requests, write_request
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
    with pytest.raises(RunError, match="is stopped: no worker trains it, so it can't stop; resume it with: "):
        write_status(run, Status("stopped"))
        send_request(run, "stop")
    hold(run)
    made = [send_request(run, "checkpoint"), send_request(run, "stop")]
    assert take_requests(run) == made
    assert take_requests(run) == []
    send_request(run, "stop")
    (run.control_folder / "x.json").write_text('{"action": "explode"}')
    remove_requests(run)
    assert take_requests(run) == []


def test_a_worker_that_ended_before_its_first_status_has_crashed_at_once(run: RunDirectory) -> None:
    """Its lock's file tells it from a worker that is on its way."""
    with worker_lock(run) as had_worker:
        assert not had_worker
    assert read_status(run).state == "crashed"
    with worker_lock(run) as had_worker:
        assert had_worker


def test_the_file_of_the_lock_appears_locked(run: RunDirectory, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    link = Path.hardlink_to
    seen: list[bool] = []

    def show(self: Path, target: Path) -> None:
        held = (  # by this process, as another one sees it
            "import fcntl, sys\nwith open(sys.argv[1]) as file: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)"
        )
        seen.append(subprocess.run([sys.executable, "-c", held, target], check=False, stderr=-3).returncode != 0)
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", show)
    with worker_lock(run):
        pass
    assert seen == [True]
    assert sorted(path.name for path in run.path.iterdir()) == ["checkpoints", "config.json", "control", "worker.lock"]


def test_a_worker_that_has_written_its_end_is_waited_for(
    run: RunDirectory, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = hold(run)
    write_status(run, Status("stopped", pid=1, step=7))
    waits = 0

    def wait(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 200:  # four seconds: longer than a worker that trains is waited for
            holder.kill()
            holder.wait()

    monkeypatch.setattr(time, "sleep", wait)
    with worker_lock(run):
        assert waits == 200


def test_a_directory_that_is_gone_has_crashed(run: RunDirectory, tmp_path: Path) -> None:
    run.path.rename(tmp_path / "elsewhere")
    status = read_status(run)
    assert (status.state, status.reason) == ("crashed", f"{run.path} is gone: it was removed or renamed")


def test_a_clock_that_was_set_back_makes_no_run_younger(run: RunDirectory) -> None:
    later = replace(run.config(), created=time.time() + 3600)
    run.config_file.write_text(later.to_json())
    assert read_status(run).state == "crashed"


@pytest.mark.parametrize("kind", ["folder", "FIFO", "link", "nested", "large", "binary", "unreadable", "no folder"])
def test_whatever_lies_among_the_requests_is_no_harm(run: RunDirectory, tmp_path: Path, kind: str) -> None:
    path = run.control_folder / "0.json"
    match kind:
        case "folder":
            (path / "full").mkdir(parents=True)
        case "FIFO":
            os.mkfifo(path)
        case "link":
            (tmp_path / "stop").write_text('{"action": "stop"}')
            path.symlink_to(tmp_path / "stop")
        case "nested":
            path.write_text("[" * 60_000)
        case "large":
            path.write_text('{"action": "stop", "more": "' + "x" * 10**6 + '"}')
        case "binary":
            path.write_bytes(bytes(range(256)))
        case "unreadable":
            path.symlink_to(path)
        case "no folder":
            run.control_folder.rmdir()
            run.control_folder.write_text("")
    made = None if kind == "no folder" else write_request(run, "stop")
    assert take_requests(run) == ([made] if made else [])
    remove_requests(run)
    assert take_requests(run) == []
