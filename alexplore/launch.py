"""Starting a training worker in the background, without torch in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.status import STARTING_SECONDS, is_locked, read_status


def launch(run: RunDirectory) -> subprocess.Popen[bytes]:
    """Start a worker on a run directory, in a session of its own, and wait until it holds the run's lock.

    It reads nothing from this process and writes to console.log alone, so it outlives whoever started it.

    Raises:
        RunError: a worker is already at it, or the new one ended at once (with the end of what it printed).
    """
    if read_status(run).live and is_locked(run):
        raise RunError(f"{run.name} is already being trained; watch it with `alexplore runs watch {run.name}`")
    command = [sys.executable, "-m", "alexplore.training.worker", str(run.path)]
    try:
        with run.console_file.open("ab") as console:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        raise RunError(f"could not start a worker: {error.strerror or error}") from None
    deadline = time.monotonic() + STARTING_SECONDS
    while not is_locked(run):
        if process.poll() is not None:
            if process.returncode == 0:
                break  # it was done before we looked
            said = "\n".join(run.console_tail(5))
            raise RunError(f"the worker of {run.name} ended with exit code {process.returncode}:\n{said}")
        if time.monotonic() > deadline:
            raise RunError(f"the worker of {run.name} did not start within {STARTING_SECONDS:.0f} s")
        time.sleep(0.01)
    return process
