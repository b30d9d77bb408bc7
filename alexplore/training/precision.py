"""The precision of a training step: the number type of its activations."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from alexplore.training.timing import fastest

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """The number type of the layers for which PyTorch's autocast uses it; weights and other layers are fp32."""

    name: str
    """fp32, bf16 or fp16."""

    device: torch.device

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for the model's forward pass."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, TYPES[self.name])

    @property
    def scaled(self) -> bool:
        """Whether losses are scaled up before the backward pass, so that small gradients don't become 0."""
        return self.name == "fp16"


def matmul_peak(device: torch.device, precision: str) -> float:
    """Return the floating-point operations per second of a large matrix multiplication: the device's peak.

    Multiplications and additions are counted. The matrices are square, of side 1024 on a CPU and 8192 on a GPU.
    """
    size = 1024 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device, dtype=TYPES[precision]) for _ in range(2))
    return 2 * size**3 / fastest(lambda: left @ right, device)
