"""Training metrics: collected on the device at every step, and read from it at sync points.

`alexplore.runs.metrics` declares the names and formats of metrics; `evaluate.py` computes the validation metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CAPACITY = 512
"""The most steps in a `StepLog`."""


@dataclass(frozen=True)
class Tally:
    """Sums over training images."""

    loss: float = 0.0
    """Sum of the cross-entropies, in nats."""

    correct: int = 0
    """Number of images whose most likely class is the label."""

    images: int = 0

    def plus(self, other: Tally) -> Tally:
        """Return the sums over both sets of images."""
        return Tally(self.loss + other.loss, self.correct + other.correct, self.images + other.images)

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy of an image, in nats."""
        return self.loss / max(1, self.images)

    @property
    def accuracy(self) -> float:
        """Share of the images whose most likely class is the label, 0 to 1."""
        return self.correct / max(1, self.images)

    def values(self) -> dict[str, float]:
        """Return the metrics by their keys in `runs.metrics.METRICS`."""
        return {"train/loss": self.mean_loss, "train/acc": self.accuracy}


class StepLog:
    """The results of the steps since the last sync point, on the device."""

    def __init__(self, device: torch.device) -> None:
        self._values = torch.zeros(CAPACITY, 3, device=device)
        self._counted: list[tuple[int, float]] = []  # images and scale of each step

    @property
    def full(self) -> bool:
        """Whether `take` must be called before the next step."""
        return len(self._counted) == CAPACITY

    def add(self, row: Tensor, images: int, scale: float) -> None:
        """Add a step of this rank: its `step_row`, its images, and the factor of its summed loss."""
        self._values[len(self._counted)] = row
        self._counted.append((images, scale))

    def take(self) -> Tensor:
        """Return the steps as rows (loss, correct, images, failed) in float64 on the CPU, and clear the log.

        This waits for the device.
        """
        values = self._values[: len(self._counted)].cpu().double()  # not at once: mps has no float64
        images, scales = torch.tensor(self._counted, dtype=torch.float64).view(-1, 2).T
        self._counted.clear()
        loss, correct, failed = values.T
        return torch.stack((loss * scales, correct, images, failed), 1)


def step_row(loss: Tensor, correct: Tensor, failed: Tensor) -> Tensor:
    """Return the results of a step for `StepLog.add`, fp32 (3,): summed loss, correct predictions, the guard's flag."""
    return torch.stack((loss.detach().to(failed), correct.to(failed), failed))


def read_steps(values: Tensor) -> list[tuple[Tally, bool]]:
    """Return the tally of each step and whether it failed; `values` is `StepLog.take`, summed over the ranks."""
    return [
        (Tally(loss, round(correct), round(images)), failed > 0) for loss, correct, images, failed in values.tolist()
    ]


def record_interval(macs: int, batch_size: int, steps_per_epoch: int) -> int:
    """Return the number of steps between two metrics lines.

    It is half a second's work for a small machine (30e9 MACs), limited so that an epoch has 50 to 1,000 lines. `macs`
    is the number of MACs of a forward pass over one image. The interval does not depend on the speed of the machine, so
    that an interrupted run writes the same lines as an uninterrupted one.
    """
    work = 3 * macs * batch_size  # a backward pass takes as much as two forward passes
    wanted = round(30e9 / max(1, work))
    return min(max(1, wanted, -(-steps_per_epoch // 1000)), max(1, steps_per_epoch // 50))


def is_recorded(step: int, interval: int, steps_per_epoch: int) -> bool:
    """Return whether a metrics line is due after `step` steps.

    Lines are due at each interval, at the end of each epoch and, before the first interval ends, after 1, 2, 4, …
    steps, so that a curve is shown early.
    """
    early = step < interval and step & (step - 1) == 0
    return step % interval == 0 or step % steps_per_epoch == 0 or early
