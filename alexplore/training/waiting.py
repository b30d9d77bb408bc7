"""`python -m alexplore.training.waiting`: a worker that imports torch first, and then reads from stdin what to train.

It reads one line of JSON: the run's directory, and environment variables. It ends if its stdin is closed without a
line, as happens when the program that started it ends.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from alexplore.core.process_exit import exit_process
from alexplore.runs.directory import RunDirectory
from alexplore.training import worker  # sets what has to be set before torch is imported

STDIN, STDOUT, STDERR = range(3)


def main() -> int:
    """Import, wait, and train; return the exit code."""
    import alexplore.training.session  # noqa: F401  # and torch with it

    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    run = RunDirectory(Path(order["run"]))
    os.environ.update(order["environment"])
    _print_to(run.console_file)
    return worker.main([str(run.path)])


def _print_to(console: Path) -> None:
    """Redirect stdout and stderr to the run's console.log, and stdin from /dev/null, as for any other worker."""
    file = os.open(console, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for own, other in ((STDOUT, file), (STDERR, file), (STDIN, nothing)):
        os.dup2(other, own)
    os.close(file)
    os.close(nothing)


if __name__ == "__main__":
    exit_process(main())
