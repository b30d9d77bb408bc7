"""A worker that waits for a run: it trains it like any other, and ends with the program that has started it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from alexplore.runs import launch
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.launch import WaitingWorker
from alexplore.runs.status import read_status
from tests.support.runs import events
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("heavy")


def test_it_checks_configs_and_trains_the_run_that_it_is_given(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    run = create_run(replace(config, recipe=replace(config.recipe, epochs=1)), tmp_path / "runs", "run")
    waiting = WaitingWorker()
    waiting.wait_until_ready()
    (problem,) = waiting.find_problems(config.change({"device": "cuda"}))
    assert problem.fix is not None
    assert (problem.setting, problem.fix.changes) == ("device", {"device": "auto"})
    assert problem.message.startswith("--device cuda: PyTorch finds ")
    assert waiting.find_problems(config) == ()
    process = launch.launch(run, {"ALEXPLORE_KERNELS": "plain"}, waiting)
    assert process.pid == waiting.pid
    waiting.end()  # it has been given a run, which goes on
    assert process.wait(PATIENCE) == 0
    assert read_status(run).state == "finished"
    assert events(run, "start")[0]["kernels"] == ""
    assert run.console_file.exists()
    assert psutil.Process().pid != process.pid


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_is_given_to_it_when_it_has_imported_torch(config: RunConfig, tmp_path: Path) -> None:
    """Else the import would count as a part of the time in which a worker has to write its first status."""
    run = create_run(config, tmp_path / "runs", "run")
    os.mkfifo(run.console_file)  # which it can't open for writing until somebody reads: it stays where it is
    process = WaitingWorker().take(run, {})
    assert process is not None
    try:
        assert "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.kill()
        process.wait()


def test_it_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    code = (
        "from alexplore.runs.launch import WaitingWorker; import os\n"
        "print(WaitingWorker().pid, flush=True); os._exit(1)"  # as if it were killed
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "the worker to end")


def test_one_that_has_ended_is_replaced(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(replace(config, recipe=replace(config.recipe, epochs=1)), tmp_path / "runs", "run")
    waiting = WaitingWorker()
    psutil.Process(waiting.pid).kill()
    waiting._process.wait()
    waiting.wait_until_ready()
    assert waiting.find_problems(config) == ()
    assert waiting.take(run, {}) is None
    waiting.end()  # an order that could not be written is left in its pipe
