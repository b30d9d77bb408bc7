"""What follows a convolution on a GPU in one pass: its bias, a ReLU and a max pool. See `epilogue_triton`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alexplore.network.windows import Windows

MOST_PIXELS = 2**31 - 2**12
"""The most pixels of maps: the kernels count them in 32 bits, which divide several times as fast as 64."""

MOST_TAPS = 25
"""The most pixels of a window. Its loop is unrolled: Triton compiles 9 in one or two seconds, 25 in two, 169 in 91."""


def supports(maps: Tensor) -> bool:
    """Return whether the kernels can read such maps (N, C, H, W): on a GPU, channels last, not empty."""
    rows = maps.permute(0, 2, 3, 1)
    on_gpu = maps.device.type == "cuda" and maps.dtype != torch.float64
    return on_gpu and rows.is_contiguous() and 0 < rows[..., 0].numel() < MOST_PIXELS


def supports_windows(windows: Windows) -> bool:
    """Return whether a max pool with these windows can be computed."""
    height, width = windows
    return height.dilation == width.dilation == 1 and height.kernel * width.kernel <= MOST_TAPS


def bias_relu(maps: Tensor, bias: Tensor | None) -> Tensor:
    """Return max(0, maps + bias), in the memory of the maps (N, C, H, W); a bias is (C,)."""
    result: Tensor = _BiasRelu.apply(maps, bias)
    return result


def max_pool(maps: Tensor, windows: Windows, bias: Tensor | None = None, *, has_relu: bool = False) -> Tensor:
    """Return the max pool of maps (N, C, H, W), or that of max(0, maps + bias)."""
    result: Tensor = _MaxPool.apply(maps, windows, bias, has_relu)
    return result


class _BiasRelu(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, bias: Tensor | None) -> Tensor:
        from alexplore.training.kernels import epilogue_triton as kernels

        kernels.relu(_rows(maps), bias, _rows(maps))
        context.mark_dirty(maps)
        context.save_for_backward(maps)
        return maps

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from alexplore.training.kernels import epilogue_triton as kernels

        (outputs,) = context.saved_tensors
        to_maps = torch.empty_like(outputs)
        operands = _rows(outputs), _rows(gradients[0]).contiguous(), _rows(to_maps)
        return to_maps, kernels.relu_gradient(*operands, with_sums=context.needs_input_grad[1])


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, windows: Windows, bias: Tensor | None, has_relu: bool) -> Tensor:
        from alexplore.training.kernels import epilogue_triton as kernels

        count, channels, high, wide = maps.shape
        shape = count, channels, windows[0].outputs(high), windows[1].outputs(wide)
        results = torch.empty(shape, dtype=maps.dtype, device=maps.device, memory_format=torch.channels_last)
        chosen = torch.empty_like(results, dtype=torch.uint8)
        kernels.pool(_rows(maps), bias, _rows(results), _rows(chosen), windows, has_relu=has_relu)
        context.save_for_backward(chosen)
        context.windows, context.shape, context.type = windows, maps.shape, maps.dtype
        return results

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from alexplore.training.kernels import epilogue_triton as kernels

        (chosen,) = context.saved_tensors
        gradient = _rows(gradients[0]).contiguous()
        to_maps = torch.empty(
            context.shape, dtype=context.type, device=chosen.device, memory_format=torch.channels_last
        )
        kernels.pool_gradient(gradient, _rows(chosen), _rows(to_maps), context.windows)
        to_bias = kernels.pooled_sums(gradient, _rows(chosen)) if context.needs_input_grad[2] else None
        return to_maps, None, to_bias, None


def _rows(maps: Tensor) -> Tensor:
    """Return (N, C, H, W) as (N, H, W, C)."""
    return maps.permute(0, 2, 3, 1)
