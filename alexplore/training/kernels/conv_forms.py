"""Convolutions computed as others that are equal, for which cuDNN has faster kernels.

A GPU's matrix units multiply 8 or more channels at once. A convolution of few channels with a stride s, such as
AlexNet's first, is one with stride 1 over blocks of s×s pixels, each of which is one pixel with s² times the channels;
its kernel is filled up with zeros to a multiple of s. On an H100 in bf16 this takes 88 µs instead of 623 (torchvision's
conv1, 128 images), and its gradient 104 instead of 396.

cuDNN copies the channels of each group apart. For two groups it is faster to convolve all channels, with weights of
zero between the groups, although that is twice the arithmetic: 588 µs instead of 849 forward and backward (the paper's
conv2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.windows import Pair
from alexplore.training.kernels.triton_support import why_no_triton

FEW_CHANNELS = 4
"""The most input channels for which blocks are used."""

LEAST_UNGROUPED = 16
"""The fewest input channels for which groups are given up: with few, cuDNN has little to copy. Measured from 96 on."""


def supports(images: Tensor) -> bool:
    """Return whether such images or maps (N, C, H, W) are convolved in these forms: on a GPU, except in float64."""
    return images.device.type == "cuda" and images.dtype != torch.float64


def gains_in_blocks(layer: nn.Conv2d) -> bool:
    """Return whether a convolution is faster over blocks of pixels."""
    stride, other = layer.stride
    few = layer.in_channels <= FEW_CHANNELS and layer.groups == 1
    return few and stride == other > 1 and min(layer.kernel_size) > stride and layer.dilation == (1, 1)


def gains_ungrouped(layer: nn.Conv2d) -> bool:
    """Return whether a convolution is faster with all channels than by groups."""
    return layer.groups == 2 and layer.in_channels >= LEAST_UNGROUPED


def convolve_blocks(input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Pair) -> Tensor:
    """Return the convolution of (N, C, H, W) by weights (O, C, h, w), with `padding` zeros around the maps."""
    device = input.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else input.dtype
    rows, kernel = input.permute(0, 2, 3, 1), weight.to(dtype).permute(0, 2, 3, 1)
    high, wide = (
        (size + 2 * around - length) // stride + -(-length // stride)
        for size, around, length in zip(rows.shape[1:3], padding, kernel.shape[1:3], strict=True)
    )  # blocks that are read, by a kernel that is filled up
    filled = F.pad(kernel, (0, 0, 0, -kernel.shape[2] % stride, 0, -kernel.shape[1] % stride))
    if device == "cuda" and not input.requires_grad and len(input) and rows.is_contiguous() and not why_no_triton():
        from alexplore.training.kernels.blocks_triton import to_blocks

        blocks = to_blocks(rows, stride, padding, (high, wide), dtype)
    else:
        top, left = padding
        bottom, right = high * stride - top - rows.shape[1], wide * stride - left - rows.shape[2]
        blocks = _blocks(F.pad(rows.to(dtype), (0, 0, left, right, top, bottom)), stride)
    return F.conv2d(blocks.permute(0, 3, 1, 2), _blocks(filled, stride).permute(0, 3, 1, 2), bias)


def _blocks(rows: Tensor, side: int) -> Tensor:
    """Return (N, H, W, C) as (N, H / side, W / side, side² · C): each block of pixels as one pixel."""
    count, height, width, channels = rows.shape
    blocks = rows.reshape(count, height // side, side, width // side, side * channels).transpose(2, 3)
    return blocks.reshape(count, height // side, width // side, side * side * channels)


def ungrouped(weight: Tensor, groups: int) -> Tensor:
    """Return weights (O, C / groups, h, w) as (O, C, h, w), with zeros between the groups."""
    size = weight.shape[1]
    parts = [
        F.pad(part.permute(0, 2, 3, 1), (number * size, (groups - 1 - number) * size))
        for number, part in enumerate(weight.chunk(groups))
    ]
    return torch.cat(parts).permute(0, 3, 1, 2)
