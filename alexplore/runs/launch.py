"""Start workers: one for a run, or one that waits for a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

from alexplore.core.formatting import bytes_text
from alexplore.core.processes import ended_text, module_command, starting
from alexplore.core.regular_files import FileStamp, file_stamp
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.preflight import Problem, read_problem
from alexplore.runs.status import STARTING_SECONDS, is_locked, read_status


class WaitingWorker:
    """A worker that is started before there is a run for it: it imports torch, checks configs, and waits.

    It exits when the program that started it exits, unless it has been given a run. Its methods may be called from
    several threads.
    """

    def __init__(self) -> None:
        """Start the process.

        Raises:
            OSError: it can't be started.
        """
        self._lock = Lock()  # of its stdin and stdout
        self._ready = self._taken = False
        self._process = subprocess.Popen(
            module_command("alexplore.training.waiting"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until it has imported torch, or has exited."""
        with self._lock:
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        if not self._ready:
            self._answer()
            self._ready = True

    def find_problems(self, config: RunConfig) -> tuple[Problem, ...]:
        """Return the problems that only PyTorch can find; none if the process has exited.

        Call this after `wait_until_ready`, with a config that passed the checks of `preflight`.
        """
        with self._lock:
            problems = self._answer({"check": config.to_json()}) or ()
        return tuple(read_problem(problem) for problem in problems)

    def take(self, run: RunDirectory, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
        """Make it train a run, with more environment variables, and return its process; None if it has exited.

        It is waited for until it has imported torch.
        """
        if self._process.poll() is not None:
            return None
        try:
            with self._lock:
                self._wait_until_ready()
                self._write({"run": str(run.path.resolve()), "environment": dict(environment)})
                self._taken = True
                self._close_pipes()
        except OSError:
            return None
        return self._process if self._process.poll() is None else None

    def end(self) -> None:
        """End the process, unless it was given a run."""
        if self._taken and self._process.poll() is None:
            return
        self._process.kill()
        with suppress(OSError), self._process:  # if it had died, an order may be left in the pipe
            pass

    def _answer(self, order: Mapping[str, Any] | None = None) -> Any:
        """Return the next line that it writes, after it was given an order; None if it has exited."""
        assert self._process.stdout is not None
        try:
            if order is not None:
                self._write(order)
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError):  # it has exited, perhaps because another thread has ended it
            return None

    def _write(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def launch(
    run: RunDirectory, environment: Mapping[str, str] | None = None, waiting: WaitingWorker | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker on a run directory and wait until it has written status.json.

    Until then status.json may hold the end of an earlier worker, and a program that watches would take the run for
    ended. The worker runs in a new session, reads nothing from this process and writes to console.log, so it
    outlives this process. `environment` is added to this process's own. The worker `waiting` is used if it still runs.

    Raises:
        RunError: a worker already trains the run, or the new one exited at once; the message has its last output.
        StartError: the system starts no process.
    """
    if read_status(run).live and is_locked(run):
        raise RunError(f"{run.name} is already being trained; watch it with: {run.command('watch')}")
    for link in run.links():
        raise RunError(f"{link} is a link; a run is not trained through links, which may lead out of its directory")
    before = file_stamp(run.status_file)
    process = waiting.take(run, environment or {}) if waiting is not None else None
    if process is None:
        process = _start_worker(run, environment or {})
    _wait_for_status(run, process, before)
    return process


def _start_worker(run: RunDirectory, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with starting("a worker"), run.console_file.open("ab") as console:
        return subprocess.Popen(
            worker_command(run),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        )


def worker_command(run: RunDirectory) -> list[str]:
    """Return the command line of a worker that trains a run."""
    return module_command("alexplore.training.worker", str(run.path))


def _wait_for_status(run: RunDirectory, process: subprocess.Popen[bytes], before: FileStamp | None) -> None:
    """Wait until a worker has written a status in place of the one `before`, which may have its pid; see `launch`.

    In a container, the first process of each start usually gets the same pid.
    """
    deadline = time.monotonic() + STARTING_SECONDS
    while read_status(run).pid != process.pid or file_stamp(run.status_file) == before:
        if process.poll() is not None:
            if process.returncode == 0:
                break  # it has already finished
            with suppress(OSError):  # else `read_status` would show the run as starting
                run.lock_file.touch(mode=0o600)
            ended = f"the worker of {run.name} {ended_text(process.returncode)}"
            raise RunError(f"{ended}:\n{_last_output(run)}", failure=True)
        if time.monotonic() > deadline:
            if is_locked(run):
                break  # it trains, but the disk is too full for a status
            process.kill()  # else it might train later a run that was reported as not started
            process.wait()
            raise RunError(f"the worker of {run.name} did not start within {STARTING_SECONDS:.0f} s", failure=True)
        time.sleep(0.01)


def _last_output(run: RunDirectory) -> str:
    """Return the last lines that a worker printed; if there are none, the free space of its disk."""
    if printed := "\n".join(run.console_tail(5)).strip():
        return printed
    return f"it printed nothing to {run.console_file}; {free_text(run)}"


def free_text(run: RunDirectory) -> str:
    """Return how much room the disk of a run has, which may be why a worker ended without a word."""
    try:
        return f"the disk has {bytes_text(shutil.disk_usage(run.path).free)} free"
    except OSError:
        return "its folder is gone"
