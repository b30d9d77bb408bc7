"""`python -m alexplore.runs.on_end RUN_DIR OCCASIONS COMMAND`: run the command of `--on-end` at occasions of a run.

It is a separate process, which outlives the worker and the program that started it. It reads only the run's files, so
the command is run even if the worker was killed. The shell gets the command exactly as the user wrote it; data from the
run's files is passed in environment variables, never in the text of the command.
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
from alexplore.core.processes import module_command, starting
from alexplore.runs.directory import RunDirectory
from alexplore.runs.occasions import Occasion, OccasionWatch
from alexplore.runs.summary import RunList

POLL_SECONDS = 0.5


def start_on_end(run: RunDirectory, command: str, occasions: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the process that runs a command at occasions of a run, and return it.

    Call it right after the run's worker was started. The command's output goes to console.log.

    Raises:
        StartError: the process could not be started.
    """
    arguments = [str(run.path), ",".join(occasions), command]
    with starting("the process that runs --on-end"), run.console_file.open("ab") as console:
        return subprocess.Popen(
            module_command("alexplore.runs.on_end", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_and_run(run: RunDirectory, occasions: Sequence[str], command: str) -> None:
    """Run a command at each of the occasions until the run has ended."""
    runs, watch, live = RunList(), OccasionWatch(from_start=True), True
    while live:
        (summary,) = runs.summarise([run])
        live = summary.status.live
        for occasion in watch.update(summary):
            if occasion.kind in occasions:
                run_command(command, occasion)
        if live:
            time.sleep(POLL_SECONDS)


def run_command(command: str, occasion: Occasion) -> None:
    """Run a command in a shell, with facts about the run in its environment; report a failure."""
    process = subprocess.run(command, shell=True, env={**os.environ, **occasion.environment()}, check=False)
    if process.returncode:
        print(f"warning: the command of --on-end ended with exit code {process.returncode}", flush=True)


def main(arguments: list[str]) -> int:
    """Wait for the occasions of a run and return the exit code."""
    folder, occasions, command = arguments

    def work() -> int:
        wait_and_run(RunDirectory(Path(folder)), occasions.split(","), command)
        return DONE

    return run_guarded(work, print_error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
