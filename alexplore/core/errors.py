"""Errors that a user can act on: one base class, with the exit code of the command that raises it.

The edge of the program (command line, worker, app) shows the message of an `AlexploreError` and nothing
else; everything that is no `AlexploreError` is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

DONE, FAILED, WRONG_USE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: done; failed; wrong use; stopped but resumable; interrupted twice."""


class AlexploreError(Exception):
    """An error with a message that says what is wrong, where, what is allowed and what to do."""

    exit_code = FAILED


class WrongUseError(AlexploreError):
    """Something was asked for that does not exist, is not allowed or contradicts itself."""

    exit_code = WRONG_USE
