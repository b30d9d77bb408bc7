"""`python -m alexplore.training.waiting`: a worker that imports torch first, and then reads from stdin what to do.

It writes one line to stdout when it is ready, and reads lines of JSON:

- `{"check": CONFIG}`: it checks the config of a run that is being planned, and writes the problems as a line of JSON.
- `{"run": DIRECTORY, "environment": VARIABLES}`: it trains the run, and reads nothing more.

It exits if its stdin is closed, as happens when the program that started it exits.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alexplore.core.process_exit import exit_process
from alexplore.runs.config import parse_config
from alexplore.runs.directory import RunDirectory
from alexplore.training import worker  # sets what has to be set before torch is imported

STDIN, STDOUT, STDERR = range(3)


def main() -> int:
    """Import, answer, and train; return the exit code."""
    import alexplore.training.session  # noqa: F401  # and torch with it

    _answer("ready")
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "check" in order:
            _check(order["check"])
            continue
        run = RunDirectory(Path(order["run"]))
        os.environ.update(order["environment"])
        _print_to(run.console_file)
        return worker.main([str(run.path)])
    return 0


def _check(config: str) -> None:
    """Answer with the problems of a config, which is the text of a config.json."""
    from alexplore.training.preflight import find_problems

    problems = find_problems(parse_config(config, Path("config.json")))
    _answer([asdict(problem) for problem in problems])


def _answer(value: Any) -> None:
    """Write a line, past the buffer of `sys.stdout`, unless the program that reads it has closed the pipe."""
    with suppress(BrokenPipeError):
        os.write(STDOUT, json.dumps(value).encode() + b"\n")


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
