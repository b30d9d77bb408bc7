"""Run the programs of `alexplore.training.commands`, which import torch, in processes of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from alexplore.core.processes import CommandError, check_killed, starting, torch_command

RUNNING: set[subprocess.Popen[str]] = set()
"""The commands whose output threads of this process wait for."""


def command_line(name: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line of a command.

    Raises:
        StartError: PyTorch is not installed.
    """
    return torch_command(f"alexplore.training.commands.{name}", *arguments)


def command_output(name: str, arguments: Sequence[str], *, content: str = "", keep_errors: bool = False) -> str:
    """Run a command and return what it printed to stdout.

    `content` is its stdin. Its stderr is this process's, unless `keep_errors`.

    Raises:
        CommandError: the command failed; the message is the last line of its stderr, if that was kept.
        KilledError: it was killed.
        StartError: PyTorch is not installed, or no process can be started.
    """
    with starting(f"the process for {name}"):
        process = subprocess.Popen(
            command_line(name, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if keep_errors else None,
            encoding="utf-8",
            errors="replace",  # its messages are in the terminal's encoding
        )
    RUNNING.add(process)
    with process:
        try:
            printed, errors = process.communicate(content)
        except BaseException:  # such as Ctrl-C; else `with` would wait for its end
            process.kill()
            raise
        finally:
            RUNNING.discard(process)
    check_killed(f"the process for {name}", process.returncode)
    if process.returncode:
        reported = (errors or "").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise CommandError(reported[0].removeprefix("error: "), process.returncode)
    return printed


def end_commands() -> None:
    """End the commands whose output threads wait for, so that the program can end at once."""
    for process in tuple(RUNNING):
        process.kill()


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run a command on this terminal and return its exit code.

    Raises:
        KilledError: it was killed.
        StartError: PyTorch is not installed, or no process can be started.
    """
    with starting(f"the process for {name}"):
        code = subprocess.run(command_line(name, arguments), check=False).returncode
    check_killed(f"the process for {name}", code)
    return code
