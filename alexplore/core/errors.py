"""Errors that a user can act on: one base class, with the exit code of the command that raises it.

The edge of the program (command line, worker, app) shows the message of an `AlexploreError` and nothing
else; everything that is no `AlexploreError` is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

DONE, FAILED, WRONG_USE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: done; failed; wrong use; stopped but resumable; interrupted twice.

Wrong use is what the user can correct by giving something else: a name of nothing, a value that is not allowed, a
file that they wrote wrongly, data or weights that don't fit. Failed is the rest: what is damaged or can't be read,
written or downloaded, a training that can't continue, and a check that finds something.
"""


class AlexploreError(Exception):
    """An error with a message that says what is wrong, where, what is allowed and what to do."""

    exit_code = FAILED


class WrongUseError(AlexploreError):
    """The user asked for something that does not exist, is not allowed or contradicts itself."""

    exit_code = WRONG_USE


class UseOrFailureError(AlexploreError):
    """An error that is wrong use or a failure, by its cause.

    `failure` means that the machine failed, or that something is damaged or can't be read or written (exit code 1),
    else it is wrong use (exit code 2).
    """

    def __init__(self, message: str, *, failure: bool = False) -> None:
        super().__init__(message)
        self.failure = failure
        self.exit_code = FAILED if failure else WRONG_USE
