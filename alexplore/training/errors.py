"""How a training ends early. No torch here: the worker uses these before it imports torch."""

from __future__ import annotations

from alexplore.core.errors import AlexploreError, WrongUseError


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
    """The loss or a gradient is not finite; the weights are those before that step."""


class CheckpointError(TrainingError):
    """A checkpoint can't be written or read; the message says which file and why."""


class RankError(TrainingError):
    """A rank ended before its work was done."""
