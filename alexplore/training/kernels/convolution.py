"""Convolutions with any padding, computed by the algorithms that `table` chooses for a class of processor.

There are three algorithms: oneDNN's, tiles (`winograd`), and oneDNN's with the gradient of the weights as a matrix
product. For which sizes of a layer one is used where the table has it is said here and in `winograd`.

The gradient of a weight is the sum, over all positions, of the output's gradient times the input value that the weight
was multiplied with. oneDNN computes these sums directly. A matrix product of the output's gradient and the input,
unfolded into a column for each weight (im2col), runs near the processor's peak, but the columns must be written first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.layers.conv2d import MAX_SEPARATE_GROUPS, Conv2d
from alexplore.network.shapes import Shapes
from alexplore.network.windows import pair
from alexplore.training.kernels import winograd
from alexplore.training.kernels.padding import pad
from alexplore.training.kernels.table import Kernels
from alexplore.training.kernels.winograd import tile_outputs

Pair = tuple[int, int]

COLUMN_VALUES = 2**22
"""Maximum number of values in the columns of a block of images: 16 MiB in fp32."""


class Geometry(NamedTuple):
    """Stride, padding and dilation of a convolution, each (height, width)."""

    stride: Pair
    padding: Pair
    dilation: Pair


class Algorithm(NamedTuple):
    """The algorithm for a layer that is not convolved by tiles."""

    geometry: Geometry
    layout: torch.memory_format

    separate_bias: bool
    """Whether the gradient of the bias is computed apart from that of the weights."""

    as_product: bool
    """Whether the gradient of the weights is computed as a matrix product."""


class Conv(nn.Conv2d):
    """A convolution. On a CPU, up to `MAX_SEPARATE_GROUPS` groups are convolved one after the other."""

    def __init__(self, layer: Conv2d, inputs: Shapes, kernels: Kernels) -> None:
        (shape,) = inputs
        self.sides, self.mode = layer.padded_sides(inputs), layer.padding_mode
        padding = (0, 0) if self.sides else pair(layer.torch_padding_setting(inputs) or 0)
        geometry = Geometry(pair(layer.stride), padding, pair(layer.dilation))
        super().__init__(
            shape[0], layer.out_channels, layer.kernel_size, *geometry, groups=layer.groups, bias=layer.bias
        )
        channels = shape[0] // layer.groups
        self.algorithm = Algorithm(
            geometry,
            torch.contiguous_format
            if "layout" in kernels and contiguous_is_faster(channels, min(pair(layer.kernel_size)))
            else torch.channels_last,
            separate_bias="bias" in kernels,
            as_product="products" in kernels and product_is_faster(channels),
        )
        self.separately = self.groups == 1 or ("groups" in kernels and self.groups <= MAX_SEPARATE_GROUPS)
        self.tile_outputs = None
        if "tiles" in kernels and geometry.stride == geometry.dilation == (1, 1):
            size = layer.output_shape(inputs)[1:]
            self.tile_outputs = tile_outputs(
                channels, layer.out_channels // layer.groups, pair(layer.kernel_size), (size[0], size[1])
            )

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        if self.sides:
            input = pad(input, self.sides, self.mode)
        if input.device.type != "cpu" or not self.separately:
            return super().forward(input)
        inputs = input.chunk(self.groups, 1)
        weights = self.weight.chunk(self.groups)
        biases = [None] * self.groups if self.bias is None else self.bias.chunk(self.groups)
        parts = [self._convolve(*part) for part in zip(inputs, weights, biases, strict=True)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def _convolve(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        result: Tensor
        if self.tile_outputs and input.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
            input = input.contiguous(memory_format=torch.channels_last)
            result = _ByTiles.apply(input, weight, bias, self.algorithm.geometry.padding, self.tile_outputs)
            return result
        separate = self.algorithm.separate_bias or self.algorithm.as_product
        if not (separate and weight.requires_grad and torch.is_grad_enabled()):
            return _convolved(input, weight, bias, self.algorithm)
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            input, weight, bias = input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        input = input.contiguous(memory_format=self.algorithm.layout)
        result = _SeparateGradients.apply(input, weight, bias, self.algorithm)
        return result


def _convolved(input: Tensor, weight: Tensor, bias: Tensor | None, algorithm: Algorithm) -> Tensor:
    input, weight = (values.contiguous(memory_format=algorithm.layout) for values in (input, weight))
    return F.conv2d(input, weight, bias, *algorithm.geometry).contiguous(memory_format=torch.channels_last)


class _SeparateGradients(torch.autograd.Function):
    """A convolution whose gradients are computed separately.

    oneDNN takes twice as long for the gradient of the weights when it computes that of the bias with it.
    """

    @staticmethod
    def forward(context: Any, input: Tensor, weight: Tensor, bias: Tensor | None, algorithm: Algorithm) -> Tensor:
        context.save_for_backward(input, weight)
        context.algorithm = algorithm
        return _convolved(input, weight, bias, algorithm)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = context.saved_tensors
        algorithm: Algorithm = context.algorithm
        geometry = algorithm.geometry
        weight, grad_output = (values.contiguous(memory_format=algorithm.layout) for values in (weight, gradients[0]))
        to_input, to_weight, to_bias, _ = context.needs_input_grad
        weights = weight_gradient if algorithm.as_product else _onednn_weight_gradient
        return (
            _onednn_gradients(grad_output, input, weight, geometry, (True, False, False))[0] if to_input else None,
            weights(grad_output, input, weight, geometry) if to_weight else None,
            grad_output.sum((0, 2, 3)) if to_bias else None,
            None,
        )


class _ByTiles(torch.autograd.Function):
    """A convolution with stride 1 by tiles of `outputs` × `outputs` outputs; see `winograd`."""

    @staticmethod
    def forward(
        context: Any, input: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, outputs: int
    ) -> Tensor:
        context.save_for_backward(input, weight)
        context.padding, context.outputs = padding, outputs
        result = winograd.convolve(input, weight, padding, outputs)
        return result if bias is None else result.add_(bias.view(-1, 1, 1))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = context.saved_tensors
        grad_output = gradients[0].contiguous(memory_format=torch.channels_last)
        to_input, to_weight, to_bias, *_ = context.needs_input_grad
        side, padding, outputs = weight.shape[2], context.padding, context.outputs
        return (
            winograd.input_gradient(grad_output, weight, padding, outputs) if to_input else None,
            winograd.weight_gradient(grad_output, input, padding, side, outputs) if to_weight else None,
            grad_output.sum((0, 2, 3)) if to_bias else None,
            None,
            None,
        )


def product_is_faster(channels: int) -> bool:
    """Return for how many input channels of a group the gradient of the weights is faster as a matrix product.

    Speedups of a layer measured on AVX2 (torch 2.14, batch 32, one thread): 1 channel 11×11 / 4: 8.6; 1 channel 5×5:
    1.4; 3 to 128 channels: 0.4 to 1.2; 192 channels 3×3: 1.1 to 1.4; 384 channels 3×3: 1.2 to 1.4.
    """
    return channels == 1 or channels >= 192


def contiguous_is_faster(channels: int, kernel: int) -> bool:
    """Return whether a convolution is faster in PyTorch's contiguous layout, conversions from channels last included.

    Speedups of a layer measured in the same way, forward and backward together: 96 channels 5×5: 1.2; 64 channels 5×5:
    1.2; 48 channels 5×5: 1.0; 192 to 384 channels 3×3: 0.9.
    """
    return channels >= 64 and kernel >= 5


def weight_gradient(grad_output: Tensor, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Return the gradient of a convolution's weights, (K, C, h, w), as a matrix product.

    `grad_output` is the gradient of its output, (N, K, H', W'). All tensors are channels last, the result too.
    """
    kernels, channels, *kernel = weight.shape
    count, _, *size = grad_output.shape
    stride, (above, beside), dilation = geometry
    rows = F.pad(input.permute(0, 2, 3, 1), (0, 0, beside, beside, above, above)).contiguous()
    each, down, across, step = rows.stride()
    values = kernel[0] * kernel[1] * channels
    total = torch.zeros(kernels, values, dtype=torch.promote_types(weight.dtype, torch.float32))
    block = max(1, COLUMN_VALUES // (size[0] * size[1] * values))
    for start in range(0, count, block):
        images = rows[start : start + block]
        columns = images.as_strided(
            (len(images), *size, *kernel, channels),
            (each, stride[0] * down, stride[1] * across, dilation[0] * down, dilation[1] * across, step),
            images.storage_offset(),
        ).reshape(-1, values)
        total += grad_output[start : start + block].permute(0, 2, 3, 1).reshape(-1, kernels).t() @ columns
    return total.to(weight.dtype).view(kernels, *kernel, channels).permute(0, 3, 1, 2)


def _onednn_weight_gradient(grad_output: Tensor, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return _onednn_gradients(grad_output, input, weight, geometry, (False, True, False))[1]


def _onednn_gradients(
    grad_output: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, which: tuple[bool, bool, bool]
) -> tuple[Tensor, ...]:
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad_output, input, weight, None, *geometry, False, (0, 0), 1, which
    )
    return gradients
