"""How training ends early. No torch here: a worker names these before it imports torch."""

from __future__ import annotations

from alexplore.core.errors import AlexploreError, WrongUseError


class Stopped(Exception):
    """Somebody asked for a stop; everything is saved, unless a `failure` says why not."""

    def __init__(self, failure: str | None = None) -> None:
        super().__init__(failure)
        self.failure = failure


class TrainingError(AlexploreError):
    """A run that can't go on; the message says why, and what to do."""


class UsageError(TrainingError, WrongUseError):
    """Something was asked for that this machine does not have, or this network does not allow."""


class NotFiniteError(TrainingError):
    """The loss or a gradient is not finite; the weights are as they were before that step."""


class CheckpointError(TrainingError):
    """A checkpoint that can't be written or read; the message says which file and why."""


class RankError(TrainingError):
    """A rank ended before its work was done."""
