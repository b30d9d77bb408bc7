"""Gradient accumulation: a batch that passes through the network in parts, whose gradients add up.

The sum is the gradient of the whole batch, unless a layer computes statistics over the images of a batch, as a batch
norm does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.step_timer import StepTimer


class MicroBatches:
    """Computes the gradients of a batch in parts of at most `size` images of a rank; in one part if that is None."""

    def __init__(
        self, objective: nn.Module, guard: NonfiniteGuard, ranks: Ranks, size: int | None, timer: StepTimer
    ) -> None:
        """`timer` is notified at the start of the forward and of the backward pass of each part."""
        self._objective, self._guard, self._ranks, self._size = objective, guard, ranks, size
        self._timer = timer

    def gradients(self, inputs: Tensor, labels: Tensor, batch: int, share: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients for this rank's share of a batch; return its summed loss and correct predictions.

        `inputs` are (N, C, H, W) and `labels` int64 (N,), of a batch of `batch` images over all ranks. The summed loss
        is multiplied by `share`, fp32 () on the device. Nothing is read from the device.
        """
        self._guard.forget_gradients()
        size = self._size or max(1, batch)
        count = self.count(batch)
        sums = []
        for part in range(count):
            chosen = slice(part * size, (part + 1) * size)
            with self._without_averaging() if part < count - 1 else nullcontext():
                self._timer.enter("forward")
                loss, correct = self._objective(inputs[chosen], labels[chosen])
                self._timer.enter("backward")
                self._guard.backward(loss, share)
                self._timer.end_backward()
            sums.append((loss.detach(), correct))
        losses, corrects = zip(*sums, strict=True)
        return (losses[0], corrects[0]) if count == 1 else (torch.stack(losses).sum(), torch.stack(corrects).sum())

    def count(self, batch: int) -> int:
        """Return the number of parts of a batch, which is the same on all ranks, as they exchange gradients."""
        largest_share = -(-batch // self._ranks.data_size)
        return max(1, -(-largest_share // self._size)) if self._size else 1

    def _without_averaging(self) -> AbstractContextManager[None]:
        """Return a context without averaging over the ranks: the gradients are averaged once, with the last part."""
        objective = self._objective
        return objective.no_sync() if isinstance(objective, DistributedDataParallel) else nullcontext()
