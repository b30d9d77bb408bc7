"""Modules of the layer types with several inputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor, nn


class Add(nn.Module):
    """The sum of tensors of one shape."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Add (N, …) tensors."""
        return reduce(torch.add, inputs)


class Mul(nn.Module):
    """The product of tensors; axes of size 1 are broadcast."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Multiply (N, …) tensors."""
        return reduce(torch.mul, inputs)


class Concat(nn.Module):
    """The inputs concatenated along channels or features."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Concatenate (N, C, …) tensors along C."""
        return torch.cat(inputs, 1)


MERGES: Mapping[str, type[nn.Module]] = {"add": Add, "mul": Mul, "concat": Concat}
"""The module of each layer type that is an expression in PyTorch."""
