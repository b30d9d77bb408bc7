"""Pools with any padding, which may differ between sides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.layers.pool2d import AvgPool2d, MaxPool2d
from alexplore.network.shapes import Shapes
from alexplore.training.kernels import epilogue
from alexplore.training.kernels.table import Kernels


class MaxPool(nn.MaxPool2d):
    """A max pool with any padding; the padding is −∞."""

    def __init__(self, layer: MaxPool2d, inputs: Shapes, kernels: Kernels) -> None:
        super().__init__(**layer.torch_call(inputs).given)
        self.sides, self.windows = layer.torch_sides(inputs), layer.windows(inputs)
        self.in_one_pass = "epilogue" in kernels and not self.sides and epilogue.supports_windows(self.windows)

    def forward(self, input: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if self.in_one_pass and epilogue.supports(input):
            return epilogue.max_pool(input, self.windows)
        if self.sides:
            input = F.pad(input, self.sides, value=-torch.inf)
        pooled: Tensor = super().forward(input)
        return pooled


class AvgPool(nn.AvgPool2d):
    """An average pool with any padding by zeros. They count in the mean, except with the padding "same"."""

    shares: Tensor | None

    def __init__(self, layer: AvgPool2d, inputs: Shapes) -> None:
        self.sides, padding = layer.torch_sides(inputs), layer.torch_padding_setting(inputs) or 0
        counted = layer.padding != "same"
        super().__init__(layer.kernel_size, layer.stride, padding, layer.ceil_mode, counted)
        shares = None
        if self.sides and not counted:
            shares = super().forward(F.pad(torch.ones(1, 1, *inputs[0][1:]), self.sides))
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if self.sides:
            input = F.pad(input, self.sides)
        if self.padding and input.device.type != "cpu":
            # From maps with their channels last, PyTorch on a GPU computes wrong gradients of the input if there is
            # padding (its issue 188344, up to 2.12).
            return super().forward(input.contiguous()).contiguous(memory_format=torch.channels_last)
        means: Tensor = super().forward(input)
        return means if self.shares is None else means / self.shares.to(means.dtype)
