"""The errors of an import."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch

from alexplore.core.errors import AlexploreError, WrongUseError

LONGEST_REASON = 300
"""The longest part of another library's message that an error repeats, in characters."""


class ImportFailed(AlexploreError):
    """A model that could not be loaded, or whose forward pass fails."""


class SourceError(WrongUseError):
    """A source that does not name a model that can be imported as it was given."""


def reason_text(error: BaseException) -> str:
    """Return an exception of the user's code in one line: its type, its message, and the line that raised it."""
    message = " ".join(str(error).split())
    if len(message) > LONGEST_REASON:
        message = message[: LONGEST_REASON - 1] + "…"
    return f"{type(error).__name__}{': ' if message else ''}{message}{place_text(error)}"


def place_text(error: BaseException) -> str:
    """Return the innermost line outside of PyTorch and of this program: ` (net.py, line 12)`; empty without one."""
    ours = Path(__file__).resolve().parents[1]
    folders = (Path(torch.__file__).resolve().parent, ours)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_absolute() and path.suffix == ".py" and not any(map(path.is_relative_to, folders)):
            return f" ({path.name}, line {frame.lineno})"
    return ""
