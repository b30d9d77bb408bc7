"""The collective operations inside a step. The time that they take can be measured: see `StepTimer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.futures import Future

from alexplore.training.shared_memory import SharedMemory

Timed = Callable[[], AbstractContextManager[None]]

# One of each for the process, like its process group.
_timed: Timed = nullcontext
_memory: SharedMemory | None = None


def time_collectives(timed: Timed) -> None:
    """Do the collective operations of this process inside `timed()` from now on."""
    global _timed  # noqa: PLW0603
    _timed = timed


def use_memory(memory: SharedMemory | None) -> None:
    """Exchange tensors on the CPU through memory that the ranks share from now on; without it, by gloo."""
    global _memory  # noqa: PLW0603
    _memory = memory


def uses_memory() -> bool:
    """Return whether tensors on the CPU are exchanged through shared memory."""
    return _memory is not None


def all_reduce(values: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    """Replace a tensor by its sum over the ranks, or by the result of another reduction `op`."""
    with _timed():
        if _memory and values.is_cpu:
            _memory.all_reduce(values, op)
        else:
            dist.all_reduce(values, op)


def all_gather(parts: Sequence[Tensor], own: Tensor) -> None:
    """Write the tensors of all ranks into `parts`."""
    with _timed():
        if _memory and own.is_cpu:
            _memory.all_gather(parts, own)
        else:
            dist.all_gather(list(parts), own)


def average_bucket(bucket: Any) -> Future[Tensor]:
    """Average a bucket of gradients over the ranks. `bucket` is a `GradBucket` of `DistributedDataParallel`."""
    gradients = bucket.buffer()
    all_reduce(gradients.div_(dist.get_world_size()))
    averaged: Future[Tensor] = Future()
    averaged.set_result(gradients)
    return averaged
