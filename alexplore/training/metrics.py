"""Losses and correct answers: gathered on the device step by step, read together now and then, summed exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CAPACITY = 512


@dataclass(frozen=True)
class Tally:
    """Sums over images."""

    loss: float = 0.0
    correct: int = 0
    images: int = 0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.loss + other.loss, self.correct + other.correct, self.images + other.images)

    @property
    def mean_loss(self) -> float:
        """Loss an image."""
        return self.loss / max(1, self.images)

    @property
    def accuracy(self) -> float:
        """Share of the images whose class was the likeliest."""
        return self.correct / max(1, self.images)


class StepLog:
    """What the steps since the last look came to, still on the device."""

    def __init__(self, device: torch.device) -> None:
        self._values = torch.zeros(CAPACITY, 4, device=device)
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether it must be read before the next step."""
        return self._count == CAPACITY

    def add(self, loss: Tensor, correct: Tensor, images: int, broken: Tensor) -> None:
        """One step of this rank: its summed loss, its correct answers, its images, and whether it broke."""
        counted = torch.full_like(broken, images)
        self._values[self._count] = torch.stack((loss.detach().to(broken), correct.to(broken), counted, broken))
        self._count += 1

    def take(self) -> Tensor:
        """The steps as rows of (loss, correct, images, broken) in fp64 on the CPU; waits for the device."""
        values = self._values[: self._count].to("cpu", torch.float64)
        self._count = 0
        return values


def tallies(values: Tensor) -> list[tuple[Tally, bool]]:
    """What `StepLog.take` gave, summed over the ranks: for each step its tally, and whether it broke."""
    return [
        (Tally(loss, round(correct), round(images)), broken > 0) for loss, correct, images, broken in values.tolist()
    ]


def record_interval(macs: int, batch_size: int, steps_per_epoch: int) -> int:
    """How many steps a metrics line stands for: about half a second's work of a small machine, 50 to 1,000 an epoch.

    A function of what is trained, not of how fast, so that an interrupted run writes the lines of one that was not.
    """
    work = 3 * macs * batch_size  # a backward pass is two forward passes
    wanted = round(30e9 / max(1, work))
    return min(max(1, wanted, -(-steps_per_epoch // 1000)), max(1, steps_per_epoch // 50))


def recorded(step: int, interval: int, steps_per_epoch: int) -> bool:
    """Whether a metrics line is due after `step` steps: each interval, each epoch, and early, for whoever waits."""
    early = step < interval and step & (step - 1) == 0
    return step % interval == 0 or step % steps_per_epoch == 0 or early
