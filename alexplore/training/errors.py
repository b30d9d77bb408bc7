"""How training ends before its end. Torch-free, so that a worker can name them before it imports torch."""

from __future__ import annotations


class Stopped(Exception):
    """Somebody asked for a stop; everything is saved, unless a `failure` says why not."""

    def __init__(self, failure: str | None = None) -> None:
        super().__init__(failure)
        self.failure = failure


class TrainingError(Exception):
    """A run that can't go on; the message says why, and what to do."""


class UsageError(TrainingError):
    """Something was asked for that this machine does not have, or this network does not allow."""


class NotFiniteError(TrainingError):
    """The loss or a gradient is not finite; the weights are as they were before that step."""


class CheckpointError(TrainingError):
    """A checkpoint that can't be written or read; the message says which file and why."""


class RankError(TrainingError):
    """A rank ended before its work was done."""
