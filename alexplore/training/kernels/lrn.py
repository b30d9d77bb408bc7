"""Local response normalisation, equal to PyTorch's and several times faster.

`torch.nn.LocalResponseNorm` sums over neighbours with a three-dimensional average pool, and then makes several passes
over the whole tensor. Here the sum is a few shifted additions, and all passes are over blocks that fit the processor's
cache. Where it can be compiled it is one pass: see `lrn_compiled`, and `lrn_triton` for a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from alexplore.network.layers import local_response_norm as layers
from alexplore.network.shapes import Shapes
from alexplore.training.kernels import lrn_compiled
from alexplore.training.kernels.table import Kernels
from alexplore.training.kernels.triton_support import why_no_triton

MOST_CHANNELS_IN_TRITON = 2048
"""One Triton program computes all channels of a pixel: it compiles 2,048 in 4 seconds, 8,192 in 95."""

CACHED_VALUES = 2**18  # values of a block: 1 MiB in fp32, so that a few blocks fit the processor's cache


def make_response_norm(layer: layers.LocalResponseNorm, _: Shapes, kernels: Kernels) -> nn.Module:
    """Return the module of a layer; it does not depend on the input's shape."""
    if layer.region == "within_channel":
        return LocalResponseNormWithin(layer.size, layer.alpha, layer.beta, layer.k)
    settings = layer.size, layer.alpha, layer.beta, layer.k, layer.groups
    one_pass = bool(kernels & {"compiled-lrn", "triton-2"})
    if not one_pass and "lrn" not in kernels:
        return PlainResponseNorm(*settings)
    return LocalResponseNorm(*settings, one_pass=one_pass)


class LocalResponseNorm(nn.Module):
    """b = a / (k + alpha / size · Σ a²)^beta over `size` neighbouring channels of one of `groups` groups.

    `one_pass` uses `lrn_compiled` on a CPU, if it supports the maps, and `lrn_triton` on a GPU.
    """

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, groups: int = 1, *, one_pass: bool = False
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups
        self.one_pass = one_pass

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        normalized: Tensor = _AcrossChannels.apply(
            maps, self.size, self.alpha / self.size, self.beta, self.k, self.groups, self.one_pass
        )
        return normalized

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, groups={self.groups}"


class PlainResponseNorm(LocalResponseNorm):
    """The same, by PyTorch's function for each group."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        groups = maps.chunk(self.groups, 1)
        normalized = [F.local_response_norm(group, self.size, self.alpha, self.beta, self.k) for group in groups]
        return normalized[0] if len(normalized) == 1 else torch.cat(normalized, 1)


class LocalResponseNormWithin(nn.Module):
    """b = a / (k + alpha / size² · Σ a²)^beta over a `size`×`size` window of each channel, zeros around the map.

    Source: Caffe's `LRNLayer` with `WITHIN_CHANNEL`, and cuda-convnet's `rnorm` layer.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        (top, bottom), (left, right) = (_reach(self.size, side) for side in maps.shape[2:])
        squares = F.pad(_at_least_fp32(maps).square(), (left, right, top, bottom))
        window = top + bottom + 1, left + right + 1
        means = F.avg_pool2d(squares, window, stride=1, divisor_override=self.size**2)
        return maps * means.mul(self.alpha).add(self.k).pow(-self.beta).to(maps.dtype)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _AcrossChannels(torch.autograd.Function):
    """With s = k + scale · Σ a² and b = a · s^−beta, where Σ runs over a channel's window and Σᵀ over the channels
    whose windows contain it: ∂L/∂a = g · s^−beta − 2 · beta · scale · a · Σᵀ (g · a · s^(−beta − 1)).
    """

    @staticmethod
    def forward(
        context: Any, maps: Tensor, size: int, scale: float, beta: float, k: float, groups: int, one_pass: bool
    ) -> Tensor:
        rows = _rows(maps)
        normalized = torch.empty_like(maps, memory_format=torch.channels_last)
        results, sums = _rows(normalized), torch.empty_like(rows, memory_format=torch.contiguous_format)
        context.save_for_backward(maps, sums)
        context.settings = size, scale, beta, groups, one_pass
        group = rows.shape[1] // groups
        if one_pass and (kernels := _one_pass_kernels(rows, beta, group)):
            kernels.forward(rows.contiguous(), results, sums, scale, beta, k, _reach(size, group), group)
            return normalized
        windows = _Windows(rows, *_reach(size, rows.shape[1] // groups), groups)
        constant = windows.padded.new_full((), k)  # made on the device
        for block in _blocks(rows):
            a = _at_least_fp32(rows[block])
            s = torch.add(constant, windows.sum_of_product(a, a), alpha=scale)
            sums[block] = s
            torch.mul(a, _power(s, beta), out=results[block])
        return normalized

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, sums = context.saved_tensors
        size, scale, beta, groups, one_pass = context.settings
        rows, gradient = _rows(maps), _rows(gradients[0])
        grad_input = torch.empty_like(maps, memory_format=torch.channels_last)
        results = _rows(grad_input)
        group = rows.shape[1] // groups
        before, after = _reach(size, group)
        if one_pass and (kernels := _one_pass_kernels(rows, beta, group)):
            operands = rows.contiguous(), sums, gradient.to(rows.dtype).contiguous()
            kernels.backward(*operands, results, scale, beta, (before, after), group)
            return grad_input, *[None] * 6
        windows = _Windows(rows, after, before, groups)
        for block in _blocks(rows):
            a, s, g = _at_least_fp32(rows[block]), _at_least_fp32(sums[block]), _at_least_fp32(gradient[block])
            direct = g * _power(s, beta)
            neighbours = windows.sum_of_product(direct / s, a).mul_(a)
            torch.add(direct, neighbours, alpha=-2 * beta * scale, out=results[block])
        return grad_input, *[None] * 6


class _Windows:
    """Sums over the window of each channel: from `before` channels before it to `after` after it, in its group."""

    def __init__(self, rows: Tensor, before: int, after: int, groups: int) -> None:
        self.size = size = before + 1 + after
        self.before, self.groups, self.channels = before, groups, rows.shape[1] // groups
        height = min(len(rows), _block_height(rows))
        self.padded = _at_least_fp32(rows[:0]).new_zeros(height, groups, self.channels + size - 1)

    def sum_of_product(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the sums of `one` × `other`, both (rows, channels), over the windows. The sums of pairs are reused."""
        padded = self.padded[: len(one)]
        grouped = (len(one), self.groups, self.channels)
        within = padded[:, :, self.before : self.before + self.channels]
        torch.mul(one.view(grouped), other.view(grouped), out=within)
        pairs = padded[:, :, :-1] + padded[:, :, 1:]
        parts = [pairs[:, :, start : start + self.channels] for start in range(0, self.size - 1, 2)]
        if self.size % 2:
            parts.append(padded[:, :, self.size - 1 :])
        total = parts[0].clone() if len(parts) == 1 else parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        return total.view(len(one), -1)


def _one_pass_kernels(rows: Tensor, beta: float, group: int) -> ModuleType | None:
    """Return the module that normalises such rows in one pass; None if there is none."""
    if lrn_compiled.supports(rows, beta, group):
        return lrn_compiled
    if rows.device.type != "cuda" or rows.dtype == torch.float64 or not len(rows) or why_no_triton():
        return None
    if rows.shape[1] > MOST_CHANNELS_IN_TRITON:
        return None
    from alexplore.training.kernels import lrn_triton

    return lrn_triton


def _reach(size: int, count: int) -> tuple[int, int]:
    """Return how many of `count` channels or pixels a window of `size` can contain before and after its centre.

    Wider windows are cut to this, which gives the same sums in less memory and time.
    """
    return min(size // 2, count - 1), min((size - 1) // 2, count - 1)


def _rows(maps: Tensor) -> Tensor:
    """Return maps (N, C, H, W) as (N·H·W, C); a view if they are channels last, else a copy."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _blocks(rows: Tensor) -> Iterator[slice]:
    height = _block_height(rows)
    return (slice(start, start + height) for start in range(0, len(rows), height))


def _block_height(rows: Tensor) -> int:
    """Return the number of rows in a block that fits the cache; on a GPU all rows, to launch few kernels."""
    return max(1, CACHED_VALUES // rows.shape[1]) if rows.device.type == "cpu" else max(1, len(rows))


def _at_least_fp32(values: Tensor) -> Tensor:
    """Return values in fp32 or more, because squares and their sums need more bits than activations."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _power(sums: Tensor, beta: float) -> Tensor:
    """Return s^−beta; for the paper's beta, 3/4, from two square roots, for which processors have instructions."""
    if beta == 0.75:
        root = sums.rsqrt()
        return root.sqrt().mul_(root)
    return sums.pow(-beta)
