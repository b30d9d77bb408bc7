"""The collective operations inside a step. The time that they take can be measured: see `StepTimer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch.distributed as dist
from torch import Tensor

Timed = Callable[[], AbstractContextManager[None]]

_timed: Timed = nullcontext  # one for the process, like its process group


def time_collectives(timed: Timed) -> None:
    """Do the collective operations of this process inside `timed()` from now on."""
    global _timed  # noqa: PLW0603
    _timed = timed


def all_reduce(values: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    """Replace a tensor by its sum over the ranks, or by the result of another reduction `op`."""
    with _timed():
        dist.all_reduce(values, op)


def all_gather(parts: Sequence[Tensor], own: Tensor) -> None:
    """Write the tensors of all ranks into `parts`."""
    with _timed():
        dist.all_gather(list(parts), own)
