"""Padding before a convolution or pool."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.network.layers.padding_mode import ZEROS
from alexplore.network.layers.sliding import Sides


def pad(maps: Tensor, sides: Sides, mode: str) -> Tensor:
    """Return maps (N, C, H, W) padded on their sides; `mode` is PyTorch's `padding_mode`."""
    if mode == ZEROS:
        return F.pad(maps, sides)
    padded: Tensor = _PadWithMap.apply(maps, sides, mode)
    return padded


class _PadWithMap(torch.autograd.Function):
    """Pads as PyTorch does, without keeping the maps for the backward pass or converting them to fp32 in autocast."""

    @staticmethod
    def forward(context: Any, maps: Tensor, sides: Sides, mode: str) -> Tensor:
        context.shape, context.sides, context.mode = maps.shape, sides, mode
        return _padded(maps, sides, mode)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the maps. Padding is linear, so the gradient does not depend on their values."""
        with torch.enable_grad():
            maps = gradients[0].new_zeros(context.shape).contiguous(memory_format=torch.channels_last).requires_grad_()
            padded = _padded(maps, context.sides, context.mode)
        return torch.autograd.grad(padded, maps, gradients[0])[0], None, None


def _padded(maps: Tensor, sides: Sides, mode: str) -> Tensor:
    with torch.autocast(maps.device.type, enabled=False):
        return F.pad(maps, sides, mode).contiguous(memory_format=torch.channels_last)
