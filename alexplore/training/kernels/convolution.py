"""Convolutions with any padding: PyTorch's, or what `table` has for the class of processor.

On a CPU that is `winograd`, on a GPU `conv_forms`.

Tried and deleted, because none makes a step of a shipped preset 1.15 times faster (torch 2.14, oneDNN 3.12; AVX2,
AVX-512 and AVX-512 BF16): groups convolved by oneDNN one after the other (0.92 to 1.00), the gradient of the bias apart
from that of the weights (0.89 to 1.00), the gradient of the weights as a matrix product (0.80 to 1.08), and PyTorch's
contiguous layout for large kernels (0.95 to 1.04).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.shapes import Shapes
from alexplore.network.windows import pair
from alexplore.training.kernels import conv_forms, winograd
from alexplore.training.kernels.padding import pad
from alexplore.training.kernels.table import Kernels
from alexplore.training.kernels.winograd import tile_outputs

Pair = tuple[int, int]


class Conv(nn.Conv2d):
    """A convolution. In float64, and in 16 bits on a CPU, it is always PyTorch's."""

    def __init__(self, layer: Conv2d, inputs: Shapes, kernels: Kernels) -> None:
        (shape,) = inputs
        self.sides, self.mode = layer.padded_sides(inputs), layer.padding_mode
        self.padded = (0, 0) if self.sides else pair(layer.torch_padding_setting(inputs) or 0)
        kernel, stride = pair(layer.kernel_size), pair(layer.stride)
        # An axis of one tap has nothing to dilate. PyTorch 2.14 crashes where it is dilated all the same, on a CPU with
        # AVX-512: conv2d with channels last, groups of one channel, a bias and padding.
        rows, columns = (1 if taps == 1 else step for taps, step in zip(kernel, pair(layer.dilation), strict=True))
        super().__init__(
            shape[0], layer.out_channels, kernel, stride, self.padded, (rows, columns), layer.groups, bias=layer.bias
        )
        self.in_one_pass = "epilogue" in kernels
        self.in_blocks = "conv-forms" in kernels and conv_forms.gains_in_blocks(self)
        self.ungrouped = "conv-forms" in kernels and conv_forms.gains_ungrouped(self)
        self.tile_outputs = None
        if "tiles-{}x{}".format(*kernel) in kernels and stride == self.dilation == (1, 1):
            size = layer.output_shape(inputs)[1:]
            channels, outputs = shape[0] // layer.groups, layer.out_channels // layer.groups
            self.tile_outputs = tile_outputs(channels, outputs, kernel, (size[0], size[1]))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        return self.convolve(input, self.bias)

    def convolve(self, input: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve (N, C, H, W) and add `bias`, which may be left out."""
        if self.sides:
            input = pad(input, self.sides, self.mode)
        on_cpu_in_fp32 = input.device.type == "cpu" and input.dtype == torch.float32
        if self.tile_outputs and on_cpu_in_fp32 and not torch.is_autocast_enabled("cpu"):
            input = input.contiguous(memory_format=torch.channels_last)
            by_tiles: Tensor = _ByTiles.apply(input, self.weight, bias, self.padded, self.tile_outputs, self.groups)
            return by_tiles
        if self.in_blocks and conv_forms.supports(input):
            return conv_forms.convolve_blocks(input, self.weight, bias, self.stride[0], self.padded)
        if self.ungrouped and conv_forms.supports(input):
            weight = conv_forms.ungrouped(self.weight, self.groups)
            return F.conv2d(input, weight, bias, self.stride, self.padded, self.dilation)
        convolved: Tensor = self._conv_forward(input, self.weight, bias)
        return convolved


class _ByTiles(torch.autograd.Function):
    """A convolution with stride 1 by tiles of `outputs` × `outputs` outputs, group by group; see `winograd`."""

    @staticmethod
    def forward(
        context: Any, input: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, outputs: int, groups: int
    ) -> Tensor:
        context.save_for_backward(input, weight)
        context.padding, context.outputs, context.groups = padding, outputs, groups
        parts = zip(_split(input, groups), weight.chunk(groups), strict=True)
        result = _joined([winograd.convolve(*part, padding, outputs) for part in parts])
        return result if bias is None else result.add_(bias.view(-1, 1, 1))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = context.saved_tensors
        to_input, to_weight, to_bias, *_ = context.needs_input_grad
        (whole,), groups = gradients, context.groups
        parts = zip(_split(whole, groups), _split(input, groups), weight.chunk(groups), strict=True)
        found = [
            winograd.gradients(*part, context.padding, context.outputs, to_input=to_input, to_weight=to_weight)
            for part in parts
        ]
        return (
            _joined([grad for grad, _ in found if grad is not None]) if to_input else None,
            _joined([grad for _, grad in found if grad is not None], 0) if to_weight else None,
            whole.sum((0, 2, 3)) if to_bias else None,
            *(None, None, None),
        )


def _split(maps: Tensor, groups: int) -> list[Tensor]:
    """Return the maps (N, C, H, W) of each group, channels last."""
    return [part.contiguous(memory_format=torch.channels_last) for part in maps.chunk(groups, 1)]


def _joined(parts: list[Tensor], axis: int = 1) -> Tensor:
    """Return the tensors of all groups as one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)
