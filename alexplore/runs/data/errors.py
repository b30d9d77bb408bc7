"""What is wrong with a data set."""

from __future__ import annotations

from alexplore.core.errors import UseOrFailureError


class DataError(UseOrFailureError):
    """A data set can't be found, read or used; the message says what was tried and what to do.

    `failure` means that it is damaged, or can't be read or downloaded (exit code 1), else that another one must be
    named, or laid out differently (exit code 2).
    """
