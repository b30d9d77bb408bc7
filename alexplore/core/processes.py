"""Processes that run a module of this package: their command lines, and what is said if one can't start or fails."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from alexplore.core.errors import AlexploreError


class StartError(AlexploreError):
    """A process could not be started."""


class CommandError(AlexploreError):
    """A process reported an error, which is the message; `exit_code` is that of the process."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class KilledError(AlexploreError):
    """A process was killed, and could not report an error."""


def check_killed(what: str, code: int) -> None:
    """Check that a process, of which a message says `what`, was not killed; its return code is negative then.

    Raises:
        KilledError: it was.
    """
    if code < 0:
        raise KilledError(f"{what} {ended_text(code)}")


def ended_text(code: int) -> str:
    """Return how a process with a return code ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was killed by {name}" + ("; the machine may be short of memory" if name == "SIGKILL" else "")


@contextmanager
def starting(what: str) -> Iterator[None]:
    """Convert the system's refusal to start a process, such as for lack of memory, to a message that says `what`.

    Raises:
        StartError: an OSError was raised inside.
    """
    try:
        yield
    except OSError as error:
        raise StartError(f"could not start {what}: {error.strerror or error}") from None


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module; it does not import files of the current folder (-P)."""
    return [sys.executable, "-P", "-m", module, *arguments]


def torch_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module which imports torch.

    Raises:
        StartError: PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise StartError("PyTorch is not installed: pip install torch")
    return module_command(module, *arguments)
