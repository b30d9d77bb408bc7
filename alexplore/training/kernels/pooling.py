"""Pools with any padding, also more on one side than on the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.layers.pool2d import AvgPool2d, MaxPool2d
from alexplore.network.shapes import Shape, Shapes
from alexplore.training.kernels.convolution import padding_of


class MaxPool(nn.MaxPool2d):
    """A max pool with any padding; what is padded is never the largest."""

    def __init__(self, layer: MaxPool2d, inputs: Shapes) -> None:
        super().__init__(**layer.torch_call(inputs).given)
        self.sides = layer.torch_sides(inputs)

    def forward(self, input: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if self.sides:
            input = F.pad(input, self.sides, value=-torch.inf)
        pooled: Tensor = super().forward(input)
        return pooled


class AvgPool(nn.AvgPool2d):
    """An average pool with any padding: zeros that count under PyTorch's rule, left out of the mean under "same"."""

    shares: Tensor | None

    def __init__(self, layer: AvgPool2d, inputs: Shapes) -> None:
        padding, self.sides = padding_of(layer.windows(inputs))
        self.size = layer.output_shape(inputs)[1:]
        counted = layer.padding != "same"
        super().__init__(layer.kernel_size, layer.stride, padding, layer.ceil_mode, counted)
        shares = None
        if self.sides and not counted:
            shares = _cropped(super().forward(F.pad(torch.ones(1, 1, *inputs[0][1:]), self.sides)), self.size)
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if self.sides:
            input = F.pad(input, self.sides)
        means = _cropped(super().forward(input), self.size)
        return means if self.shares is None else means / self.shares.to(means.dtype)


def _cropped(maps: Tensor, size: Shape) -> Tensor:
    """Return maps without the last window of a rounded-up pool that would start in the padding after the input."""
    return maps if maps.shape[2:] == size else maps[:, :, : size[0], : size[1]]
