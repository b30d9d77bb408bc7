"""Processes that tests start: the command line, Python programs and workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from alexplore.runs.directory import RunDirectory, list_runs
from alexplore.runs.status import read_status
from tests.support.waiting import PATIENCE

Alexplore = Callable[..., "subprocess.CompletedProcess[str]"]

_workers: list[subprocess.Popen[bytes]] = []
"""The workers that the current test has started."""


def run_alexplore(*arguments: str, seconds: float = PATIENCE, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line without a terminal; keywords are environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "alexplore", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=seconds,
        env={**os.environ, **environment},
        check=False,
    )


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def start_worker(run: RunDirectory, **environment: str) -> subprocess.Popen[bytes]:
    """Start the worker of a run, as `alexplore train` does, with one thread and no GPU."""
    with run.console_file.open("ab") as console:
        process = subprocess.Popen(
            [sys.executable, "-m", "alexplore.training.worker", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        )
    _workers.append(process)
    return process


def kill_workers(runs_folder: Path) -> None:
    """Kill the workers that a test leaves behind: those it has started here, and those of its folder of runs."""
    for process in _workers:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    _workers.clear()
    for run in list_runs(runs_folder) if runs_folder.is_dir() else ():
        status = read_status(run)
        if status.live and status.pid:
            with suppress(psutil.NoSuchProcess):
                worker = psutil.Process(status.pid)
                if {str(run.path), "alexplore.training.waiting"} & set(worker.cmdline()):
                    worker.kill()


def exit_code(process: subprocess.Popen[bytes], run: RunDirectory) -> int:
    """Wait until a worker ends and return its exit code; fail the test with its output if it does not end."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("\n".join(run.console_tail(30)))
