"""`python -m alexplore.runs.caller RUN_DIR OCCASIONS COMMAND`: runs a person's command when something happens to a run.

It is a process of its own, which outlives the worker and whoever started it, and it reads the run's files alone: so the
command is run, too, when the worker was killed. The command is given to the shell as the person wrote it; what the
run's files hold reaches it in environment variables alone, never in the text of the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from alexplore.core.boundary import print_error, run_guarded
from alexplore.core.errors import DONE
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.occasions import Occasion, OccasionWatch
from alexplore.runs.summary import RunList

POLL_SECONDS = 0.5


def start_caller(run: RunDirectory, command: str, occasions: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the process that waits for occasions of a run, whose worker was just started, and return it.

    What the command prints goes to console.log.

    Raises:
        RunError: it could not be started.
    """
    arguments = [str(run.path), ",".join(occasions), command]
    try:
        with run.console_file.open("ab") as console:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "alexplore.runs.caller", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise RunError(f"--on-end can't be waited for: {error.strerror or error}", failure=True) from None


def wait_and_call(run: RunDirectory, occasions: Sequence[str], command: str) -> None:
    """Run a command at each of the occasions until the run has ended."""
    runs, watch, live = RunList(), OccasionWatch(from_start=True), True
    while live:
        (summary,) = runs.summarise([run])
        live = summary.status.live
        for occasion in watch.look(summary):
            if occasion.kind in occasions:
                call(command, occasion)
        if live:
            time.sleep(POLL_SECONDS)


def call(command: str, occasion: Occasion) -> None:
    """Run a command by the shell, with the facts of the run in its environment; report a failure."""
    process = subprocess.run(command, shell=True, env={**os.environ, **occasion.environment()}, check=False)
    if process.returncode:
        print(f"warning: the command of --on-end ended with exit code {process.returncode}", flush=True)


def main(arguments: list[str]) -> int:
    """Wait for the occasions of a run and return the exit code."""
    folder, occasions, command = arguments

    def work() -> int:
        wait_and_call(RunDirectory(Path(folder)), occasions.split(","), command)
        return DONE

    return run_guarded(work, print_error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
