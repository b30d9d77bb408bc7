"""Exceptions that end a training early. No torch here: the worker uses them before it imports torch."""

from __future__ import annotations

import re

from alexplore.core.errors import FAILED, WRONG_USE, AlexploreError, WrongUseError
from alexplore.runs.directory import RunDirectory


class Stopped(Exception):
    """A stop was requested. A checkpoint has been saved, unless `failure` says why it could not be."""

    def __init__(self, failure: str | None = None) -> None:
        super().__init__(failure)
        self.failure = failure


class TrainingError(AlexploreError):
    """A run can't continue; the message says why and what to do."""


class UsageError(TrainingError, WrongUseError):
    """A request that this machine or this network can't fulfil."""


class NotFiniteError(TrainingError):
    """The loss, a gradient or a value for a checkpoint is not finite. It is in no checkpoint."""


class CheckpointError(TrainingError):
    """A checkpoint can't be written or read; the message says which file and why."""


class UnfitWeightsError(CheckpointError, WrongUseError):
    """A file that contains no weights, or weights that don't fit the network: another one must be named."""

    exit_code = WRONG_USE


NO_MEMORY = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""Parts of the messages of PyTorch's allocators, CUDA, cuBLAS and cuDNN when memory is short."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception says that there is no memory; PyTorch raises several types for it."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY)


ANOTHER_RANK = "another rank ended before its work was done; the end of console.log says why"


class RankError(TrainingError):
    """A rank ended before its work was done. `exit_code` is `WRONG_USE` if the rank ended with that."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class GoneError(TrainingError):
    """The directory of the run was removed or renamed while it was trained."""


KILLED_DECODER = re.compile(r"killed by signal: (.*?)\.")
"""PyTorch's message about a killed process that decodes images."""


def killed_decoder_text(error: str) -> str | None:
    """Return the message about a decoding process that was killed, if that is the error, else None."""
    found = KILLED_DECODER.search(error)
    if found is None:
        return None
    return (
        f"a process that decodes images was killed by a signal ({found[1]}); if the machine is out of memory, "
        "use a smaller --batch-size"
    )


def gone_text(run: RunDirectory) -> str:
    """Return the message of a `GoneError`."""
    return f"{run.path} is gone: it was removed or renamed while the run was trained. A renamed run can be resumed"
