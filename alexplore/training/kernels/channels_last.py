"""Modules whose output has its channels last in memory, as its input: PyTorch's own have them first.

The next convolution would make a copy with the channels last, and both would be kept for the backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexplore.network.layers.base import Layer
from alexplore.network.shapes import Shapes


class Softmax(nn.Softmax):
    """A softmax over channels, or features."""

    def __init__(self, layer: Layer, inputs: Shapes) -> None:
        super().__init__(**layer.torch_call(inputs).given)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C, H, W) probabilities for (N, C, H, W) values, or (N, C) for (N, C)."""
        return with_channels_last(super().forward(input))


def with_channels_last(values: Tensor) -> Tensor:
    """Return maps (N, C, H, W) with their channels last, vectors as they are."""
    return values.contiguous(memory_format=torch.channels_last) if values.dim() == 4 else values
