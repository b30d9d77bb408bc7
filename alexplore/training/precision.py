"""Precision: how activations are held while training, and which way is the faster on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CANDIDATES = ("fp32", "bf16")
ROUNDS = 4
ENOUGH_SECONDS = 0.5
WAITING_SECONDS = 0.25
PLAIN = 2.0


@dataclass(frozen=True)
class Precision:
    """fp32, or a 16-bit type for the layers that autocast deems safe; weights are fp32 always."""

    name: str
    device: torch.device

    def autocast(self) -> AbstractContextManager[Any]:
        """The context that the model's forward pass runs in."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, TYPES[self.name])

    @property
    def scaled(self) -> bool:
        """Whether losses must be scaled so that small gradients don't vanish."""
        return self.name == "fp16"


def synchronize(device: torch.device) -> None:
    """Wait for everything that was asked of a device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_each(
    tasks: Mapping[str, Callable[[], object]],
    device: torch.device,
    slowest: Callable[[list[float]], list[float]] = lambda seconds: seconds,
) -> dict[str, float]:
    """Seconds that each task takes, run in turns: the fastest after a first run, which also builds what it needs.

    On a CPU, tasks so slow that a second run would keep a person waiting, and so far apart that the order is plain, run
    once.
    `slowest` gives the largest of each over all ranks, so that all run the same and conclude the same.
    """

    def once(task: Callable[[], object]) -> float:
        synchronize(device)
        start = time.perf_counter()
        task()
        synchronize(device)
        return time.perf_counter() - start

    def round_of_all() -> list[float]:
        return slowest([once(task) for task in tasks.values()])

    first = round_of_all()
    if device.type == "cpu" and max(first) > WAITING_SECONDS and max(first) > PLAIN * min(first):
        return dict(zip(tasks, first, strict=True))
    rounds = [round_of_all()]
    while len(rounds) < ROUNDS and sum(map(sum, rounds)) < ENOUGH_SECONDS:
        rounds.append(round_of_all())
    return dict(zip(tasks, map(min, zip(*rounds, strict=True)), strict=True))


def matmul_peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a large matrix multiplication: what training can be measured against."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device, dtype=TYPES[precision]) for _ in range(2))
    return 2 * size**3 / time_each({"matmul": lambda: left @ right}, device)["matmul"]
