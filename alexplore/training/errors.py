"""How a training ends early. No torch here: the worker uses these before it imports torch."""

from __future__ import annotations

from alexplore.core.errors import AlexploreError, WrongUseError
from alexplore.runs.directory import RunDirectory


class Stopped(Exception):
    """The training was asked to stop. A checkpoint is saved, unless `failure` says why that was not possible."""

    def __init__(self, failure: str | None = None) -> None:
        super().__init__(failure)
        self.failure = failure


class TrainingError(AlexploreError):
    """A run can't continue; the message says why and what to do."""


class UsageError(TrainingError, WrongUseError):
    """Something was asked for that this machine does not have or this network does not allow."""


class NotFiniteError(TrainingError):
    """The loss, a gradient, or something that a checkpoint would contain is not finite; no checkpoint contains it."""


class CheckpointError(TrainingError):
    """A checkpoint can't be written or read; the message says which file and why."""


class RankError(TrainingError):
    """A rank ended before its work was done."""


class GoneError(TrainingError):
    """The directory of the run was removed or renamed while it was trained."""


def gone_text(run: RunDirectory) -> str:
    """Return the message of a `GoneError`."""
    return f"{run.path} is gone: it was removed or renamed while the run was trained. A renamed run can be resumed"
