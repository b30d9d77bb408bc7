"""The edge of the program: every command of the command line and every worker runs inside `run_guarded`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from alexplore.core.errors import FAILED, INTERRUPTED, AlexploreError


def run_guarded(command: Callable[[], int], report: Callable[[str], None]) -> int:
    """Run a command and return its exit code; `report` gets the one message about an error that a person can act on.

    An exception that is neither an `AlexploreError` nor an `OSError` is a fault of the program and propagates.
    """
    try:
        code = command()
        sys.stdout.flush()
    except AlexploreError as error:
        report(str(error))
        return error.exit_code
    except BrokenPipeError:  # the reader of a pipe closed it; Python's own flush at exit must not fail on it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        report(os_error_text(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def os_error_text(error: OSError) -> str:
    """Return the file and the reason of an error of the operating system."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def print_error(message: str) -> None:
    """Print one error message to stderr."""
    print(f"error: {message}", file=sys.stderr, flush=True)
