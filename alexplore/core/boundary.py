"""The edge of the program: every command of the command line and every worker runs inside `run_guarded`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from alexplore.core.errors import FAILED, INTERRUPTED, AlexploreError
from alexplore.core.inert import inert


def run_guarded(command: Callable[[], int], report: Callable[[str], None]) -> int:
    """Run a command and return its exit code; `report` gets the one message about an error that a person can act on.

    What was printed is flushed here, so that output that can't be written is an error like any other. An exception
    that is neither an `AlexploreError` nor an `OSError` is a fault of the program and propagates.
    """
    try:
        code = _run(command, report)
    finally:
        unwritten = _flush(sys.stdout)
        _flush(sys.stderr)
    if unwritten is None:
        return code
    if code == 0 and not isinstance(unwritten, BrokenPipeError):
        report(f"{STDOUT}: {unwritten.strerror}")
    return code or FAILED


def _run(command: Callable[[], int], report: Callable[[str], None]) -> int:
    try:
        return command()
    except SystemExit as ended:  # Typer and argparse end a command so
        return ended.code if isinstance(ended.code, int) else FAILED if ended.code else 0
    except AlexploreError as error:
        report(str(error))
        return error.exit_code
    except BrokenPipeError:  # the program that read our stdout has closed it
        return FAILED
    except OSError as error:
        report(os_error_text(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


STDOUT = "stdout"


@contextmanager
def naming_stdout() -> Iterator[None]:
    """Name stdout in an error of printing, which says only `No space left on device`.

    Raises:
        OSError: what is printed inside can't be written.
    """
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STDOUT) from None


def print_data(text: str) -> None:
    """Print inert text to stdout, at once.

    Raises:
        OSError: stdout is closed, or its disk is full.
    """
    with naming_stdout():
        print(inert(text), flush=True)


def print_note(text: str) -> None:
    """Print inert text to stderr, if that can be written."""
    with suppress(OSError):
        print(inert(text), file=sys.stderr, flush=True)


def print_warning(text: str) -> None:
    """Print a warning to stderr, if that can be written."""
    print_note(f"warning: {text}")


def _flush(stream: TextIO | None) -> OSError | None:
    """Flush a stream. If that fails, return the error, and let Python's own flush at exit succeed."""
    if stream is None:
        return None
    try:
        stream.flush()
    except ValueError:  # closed by the program
        return None
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def reopen_closed_streams(*, writable: bool = False) -> None:
    """Give a process that was started without stdin, stdout or stderr (`>&-`) ones that are there.

    Else the first file that it opens takes their number, and what is printed is written into it. Narration is thrown
    away. Unless stdout is to be `writable`, which throws away data too, nothing can be written to it: a command that
    prints data then fails, as it does on a full disk.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY if writable else os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False, encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", 1, closefd=False, encoding="utf-8")


ACTIONABLE = (AlexploreError, OSError)
"""The errors that a person can act on; any other exception is a fault of the program."""


def error_text(error: AlexploreError | OSError) -> str:
    """Return the message of an error that a person can act on."""
    return os_error_text(error) if isinstance(error, OSError) else str(error)


def os_error_text(error: OSError) -> str:
    """Return the file and the reason of an error of the operating system."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def print_error(message: str) -> None:
    """Print one error message to stderr, if that can be written."""
    print_note(f"error: {message}")
