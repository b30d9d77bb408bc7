"""Start the processes that import torch: a worker in the background, or a command of this terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from alexplore.core.errors import FAILED, AlexploreError
from alexplore.core.formatting import bytes_text
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, checked_name, create_run, name_after
from alexplore.runs.preflight import Problem, read_problem
from alexplore.runs.status import STARTING_SECONDS, is_locked, read_status


@contextmanager
def starting(what: str) -> Iterator[None]:
    """Convert the system's refusal to start a process, such as for lack of memory, to a message that says `what`.

    Raises:
        RunError: an OSError was raised inside.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"could not start {what}: {error.strerror or error}", failure=True) from None


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
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "alexplore.training.waiting"],
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
            self._answer()

    def find_problems(self, config: RunConfig) -> tuple[Problem, ...]:
        """Return what prevents a run from being trained, of what only PyTorch can tell; nothing if it has exited.

        Call this after `wait_until_ready`, with a config that passed the checks of `preflight`.
        """
        with self._lock:
            problems = self._answer({"check": config.to_json()}) or ()
        return tuple(read_problem(problem) for problem in problems)

    def take(self, run: RunDirectory, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
        """Make it train a run, with more environment variables, and return its process; None if it has exited."""
        if self._process.poll() is not None:
            return None
        try:
            with self._lock:
                self._write({"run": str(run.path.resolve()), "environment": dict(environment)})
                self._close_pipes()
        except OSError:
            return None
        return self._process if self._process.poll() is None else None

    def end(self) -> None:
        """End the process, if it was given no run."""
        self._process.kill()
        with self._process:
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
    """
    if read_status(run).live and is_locked(run):
        raise RunError(f"{run.name} is already being trained; watch it with: {run.command('watch')}")
    for link in run.links():
        raise RunError(f"{link} is a link; a run is not trained through links, which may lead out of its directory")
    process = waiting.take(run, environment or {}) if waiting is not None else None
    if process is None:
        process = _start_worker(run, environment or {})
    _wait_for_status(run, process)
    return process


def _start_worker(run: RunDirectory, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "alexplore.training.worker", str(run.path)]
    with starting("a worker"), run.console_file.open("ab") as console:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        )


def _wait_for_status(run: RunDirectory, process: subprocess.Popen[bytes]) -> None:
    """Wait until a worker has written a status; see `launch`."""
    deadline = time.monotonic() + STARTING_SECONDS
    while read_status(run).pid != process.pid:
        if process.poll() is not None:
            if process.returncode == 0:
                break  # it has already finished
            with suppress(OSError):  # else `read_status` would show the run as starting
                run.lock_file.touch(mode=0o600)
            raise RunError(
                f"the worker of {run.name} ended with exit code {process.returncode}:\n{_last_output(run)}",
                failure=True,
            )
        if time.monotonic() > deadline:
            if is_locked(run):
                break  # it trains, but the disk is too full for a status
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


def group_name(config: RunConfig) -> str:
    """Return the name of the run that the ranks of one torchrun share, also after a restart."""
    identity = os.environ.get("TORCHELASTIC_RUN_ID", "none").replace("/", "-")
    return name_after(config.preset, f"torchrun-{identity}")


def become_rank(config: RunConfig, folder: Path, name: str) -> NoReturn:
    """Replace this process by a rank of the group that torchrun started.

    The first rank creates the run directory, the others wait for it. After a restart by torchrun the ranks find the
    directory and continue from its last checkpoint.

    Raises:
        RunError: the name is not allowed, or the directory can't be created, belongs to a run with another config, or
            did not appear within a minute.
    """
    run = RunDirectory(folder / checked_name(name))
    if os.environ["RANK"] == "0":
        if not run.config_file.is_file():
            create_run(config, folder, name)
        elif run.config().as_started() != config:
            raise RunError(
                f"{run.path} belongs to a run with other settings: choose another --name, or delete that run"
            )
    deadline = time.monotonic() + STARTING_SECONDS * 2
    while not run.config_file.is_file():
        if time.monotonic() > deadline:
            raise RunError(
                f"{run.path}: the first rank did not make it; all machines need the same runs folder", failure=True
            )
        time.sleep(0.05)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "alexplore.training.worker", str(run.path)])


def command_line(name: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line of a command that imports torch.

    Raises:
        RunError: PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise RunError("PyTorch is not installed: pip install torch", failure=True)
    return [sys.executable, "-P", "-m", f"alexplore.training.commands.{name}", *arguments]


class CommandError(AlexploreError):
    """A command that imports torch failed; the message is the last line of its stderr, if that was kept."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code if exit_code > 0 else FAILED  # it is negative after a signal


def command_output(name: str, arguments: Sequence[str], *, content: str = "", keep_errors: bool = False) -> str:
    """Run a command that imports torch and return what it printed to stdout.

    `content` is its stdin. Its stderr is this process's, unless `keep_errors`.

    Raises:
        CommandError: the command failed.
        RunError: PyTorch is not installed, or no process can be started.
    """
    with starting(f"the process for {name}"):
        done = subprocess.run(
            command_line(name, arguments),
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if keep_errors else None,
            encoding="utf-8",
            check=False,
        )
    if done.returncode:
        reported = (done.stderr or "").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise CommandError(reported[0].removeprefix("error: "), done.returncode)
    return done.stdout


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run a command that imports torch on this terminal and return its exit code.

    Raises:
        RunError: PyTorch is not installed, or no process can be started.
    """
    with starting(f"the process for {name}"):
        return subprocess.run(command_line(name, arguments), check=False).returncode
