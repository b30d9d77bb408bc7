"""What training a network takes on the device: weights, gradients, optimizer state, activations kept for backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alexplore.network.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from alexplore.network.shape import elements

if TYPE_CHECKING:
    from alexplore.network.analysis import Row
    from alexplore.network.network import Network


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes on the device while training, by what they hold."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True, slots=True)
class Kept:
    """What autograd keeps of a layer for the backward pass: its input, its output, and more for each output value."""

    input: bool = False
    output: bool = False
    extra: int = 0
    extra_values: int = 0


# Source: PyTorch's derivatives.yaml, checked against `torch.autograd.graph.saved_tensors_hooks` in the tests.
KEPT: dict[type[Layer], Kept] = {
    Conv2d: Kept(input=True),
    Linear: Kept(input=True),
    MaxPool2d: Kept(input=True, extra=8),  # an int64 index for each output
    AvgPool2d: Kept(input=True),
    AdaptiveAvgPool2d: Kept(input=True),
    LocalResponseNorm: Kept(input=True, extra_values=1),  # the denominator
    BatchNorm: Kept(input=True),
    ReLU: Kept(output=True),
    Tanh: Kept(output=True),
    Sigmoid: Kept(output=True),
    Softmax: Kept(output=True),
    Dropout: Kept(extra_values=1),  # the mask, scaled
    Flatten: Kept(),
}

OPTIMIZER_COPIES = {"adam": 2, "adamw": 2}


def training_memory(
    network: Network, rows: Sequence[Row], batch: int, optimizer: str, momentum: float, bits: int
) -> TrainingMemory:
    """Bytes for training on a batch, with activations of `bits` bits and everything else in fp32.

    A tensor that one layer writes and the next reads is kept once, if either needs it.
    """
    trainable = sum(row.trainable_params for row in rows)
    params = sum(row.params + row.parameters.buffers for row in rows)
    copies = OPTIMIZER_COPIES.get(optimizer, 1 if momentum else 0)
    return TrainingMemory(
        weights=4 * params,
        gradients=4 * trainable,
        optimizer=4 * trainable * copies,
        activations=batch * _kept_bytes(network, rows, bits // 8),
    )


def _kept_bytes(network: Network, rows: Sequence[Row], value_bytes: int) -> int:
    tensors = [elements(network.input)]
    kept = {}
    extra = 0
    current = 0
    for row in rows:
        rule = KEPT[type(row.layer)]
        assert row.output is not None
        size = elements(row.output)
        if rule.input:
            kept[current] = tensors[current]
        if not isinstance(row.layer, Flatten):  # a view of what it reads
            tensors.append(size)
            current = len(tensors) - 1
        if rule.output:
            kept[current] = size
        extra += size * (rule.extra + rule.extra_values * value_bytes)
    return sum(kept.values()) * value_bytes + extra
