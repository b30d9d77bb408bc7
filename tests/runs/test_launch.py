"""Starting a worker, and when it counts as started."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.launch import WaitingWorker, launch
from alexplore.runs.status import Status, is_locked, read_status, write_status

WORKER = """#!{python}
import os, sys, time
from pathlib import Path
from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import Status, worker_lock, write_status
run = RunDirectory(Path(sys.argv[-1]))
with worker_lock(run):
    while not (run.path / "speak").exists():
        time.sleep(0.01)
    write_status(run, Status("starting", pid=os.getpid()))
    while not (run.path / "end").exists():
        time.sleep(0.01)
"""


@pytest.mark.usefixtures("heavy")
def test_a_worker_has_started_when_it_says_so(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(config, tmp_path / "runs", "again")
    write_status(run, Status("failed", pid=1, reason="of an earlier worker"))
    program = tmp_path / "python"
    program.write_text(WORKER.format(python=sys.executable))
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    wait = time.sleep

    def let_speak(seconds: float) -> None:
        """A launcher that waits for a locked run waits for a word of its worker."""
        if is_locked(run):
            (run.path / "speak").touch()
        wait(seconds)

    monkeypatch.setattr(time, "sleep", let_speak)
    process = launch(run)
    monkeypatch.undo()
    status = read_status(run)
    for name in ("speak", "end"):
        (run.path / name).touch()
    assert process.wait(60) == 0
    assert (status.state, status.pid) == ("starting", process.pid)


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize(
    ("code", "said"), [("echo out of luck", "out of luck"), ("true", r"printed nothing to .*console\.log; .* free")]
)
def test_a_worker_that_ends_at_once_is_reported(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{code}\nexit 7\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    run = create_run(config, tmp_path / "runs", "ends")
    with pytest.raises(RunError, match=f"the worker of ends ended with exit code 7:\n.*{said}"):
        launch(run)
    assert read_status(run).state == "crashed"


@pytest.mark.usefixtures("heavy")
def test_a_worker_that_does_not_start_in_time_is_ended(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would train a run later that was reported as not started."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nwhile :; do sleep 0.1; done\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr("alexplore.runs.launch.STARTING_SECONDS", 0.5)
    with pytest.raises(RunError, match="the worker of late did not start within 0 s"):
        launch(create_run(config, tmp_path / "runs", "late"))
    assert not [one for one in psutil.Process().children() if str(program) in one.cmdline()]


@pytest.mark.usefixtures("heavy")
def test_the_status_of_an_earlier_worker_with_the_same_pid_is_not_the_new_ones(
    config: RunConfig, tmp_path: Path
) -> None:
    """In a container the first process of each start usually gets the same pid."""
    run = create_run(config, tmp_path / "runs", "again")

    class Ready(WaitingWorker):
        """A worker whose pid the run's last worker had, too, and that takes a moment to write its status."""

        def __init__(self) -> None:
            self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            write_status(run, Status("stopped", pid=self.process.pid))

        def take(self, run: RunDirectory, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
            started = Status("starting", pid=self.process.pid)
            threading.Timer(0.2, write_status, (run, started)).start()
            return self.process

    ready = Ready()
    with launch(run, waiting=ready) as process:
        status = read_status(run)
        process.communicate(b"\n")
    assert status.state != "stopped"
