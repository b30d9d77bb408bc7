"""ONNX operators as PyTorch functions, by their names.

Source: the operators' definitions, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.windows import Window, same_padding

Attributes = Mapping[str, Any]
Function = Callable[[Attributes, list[Any]], Any]


class NotDescribed(Exception):
    """PyTorch has no function for an operator with such settings."""


def _numbers(value: Any) -> list[int]:
    return [int(one) for one in np.asarray(value).flatten()]


def _padding(a: Attributes, x: Tensor, window: list[int], fill: float) -> tuple[Tensor, list[int]]:
    """Return the input and the padding for PyTorch's operator; if the sides differ, the padded input and no padding."""
    pads = list(a.get("pads", [0] * 2 * len(window)))
    strides, dilations = (a.get(name, [1] * len(window)) for name in ("strides", "dilations"))
    before, after = pads[: len(window)], pads[len(window) :]
    automatic = a.get("auto_pad", b"NOTSET").decode()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        same = map(same_padding, x.shape[2:], window, strides, dilations)
        before, after = map(list, zip(*same, strict=True))
        if automatic == "SAME_LOWER":
            before, after = after, before
    if before == after:
        return x, before
    if a.get("ceil_mode", 0):  # no window starts in the padding after the map, which will be a part of the map
        windows = map(partial(Window, ceil_mode=True), window, strides, dilations, before, after)
        needed = [one.needed_padding(size)[1] for one, size in zip(windows, x.shape[2:], strict=True)]
        after = list(map(min, after, needed))
    sides = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return F.pad(x, sides, value=fill), [0] * len(window)


def _conv(a: Attributes, v: list[Any]) -> Tensor:
    x, weight, bias = v[0], v[1], v[2] if len(v) > 2 else None
    x, padding = _padding(a, x, list(weight.shape[2:]), 0.0)
    kind = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[weight.dim()]
    dims = len(padding)
    ones = [1] * dims
    return kind(
        x, weight, bias, list(a.get("strides", ones)), padding, list(a.get("dilations", ones)), a.get("group", 1)
    )


def _softmax_axis(a: Attributes, x: Tensor) -> int:
    axis = int(a.get("axis", -1))
    if a.get("to_end") and any(size != 1 for size in x.shape[axis % x.dim() + 1 :]):
        raise NotDescribed
    return axis


def _pixels(a: Attributes) -> list[int]:
    """Return the height and width of a pool's window."""
    window = list(a["kernel_shape"])
    if len(window) != 2:
        raise NotDescribed
    return window


def _batch_norm(a: Attributes, v: list[Any]) -> Tensor:
    if a.get("training_mode", 0) or not a.get("spatial", 1):
        raise NotDescribed
    momentum = float(f"{1 - a.get('momentum', 0.9):.7g}")
    return F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, momentum, a.get("epsilon", 1e-5))


def _max_pool(a: Attributes, v: list[Any]) -> Tensor:
    window = _pixels(a)
    x, padding = _padding(a, v[0], window, float("-inf"))
    return F.max_pool2d(
        x,
        window,
        list(a.get("strides", [1, 1])),
        padding,
        list(a.get("dilations", [1, 1])),
        bool(a.get("ceil_mode", 0)),
    )


def _average_pool(a: Attributes, v: list[Any]) -> Tensor:
    window, counted = _pixels(a), bool(a.get("count_include_pad", 0))
    if any(one != 1 for one in a.get("dilations", ())):
        raise NotDescribed
    x, padding = _padding(a, v[0], window, 0.0)
    if x is not v[0] and not counted:  # PyTorch would count the zeros
        raise NotDescribed
    counted = counted or not any(padding)
    return F.avg_pool2d(x, window, list(a.get("strides", [1, 1])), padding, bool(a.get("ceil_mode", 0)), counted)


def _gemm(a: Attributes, v: list[Any]) -> Tensor:
    """Return alpha · x · w + beta · b; a weight was transposed when it was read."""
    x, weight, bias = v[0].T if a.get("transA", 0) else v[0], operand(v[1]), v[2] if len(v) > 2 else None
    weight = weight if isinstance(weight, nn.Parameter) or a.get("transB", 0) else weight.T
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    if alpha == beta == 1 and (bias is None or isinstance(bias, Tensor)):
        return F.linear(x, weight, bias)
    product = alpha * F.linear(x, weight)
    result: Tensor = product if bias is None else product + beta * operand(bias)
    return result


def _mat_mul(x: Tensor, other: Any) -> Tensor:
    """Return x · other; a matrix of weights was transposed when it was read."""
    return F.linear(x, other) if isinstance(other, nn.Parameter) and other.dim() == 2 else torch.matmul(x, other)


def _clip(a: Attributes, v: list[Any]) -> Tensor:
    x: Tensor = v[0]
    bounds: list[Any] = [a.get("min"), a.get("max")]
    for number, value in enumerate(v[1:3]):
        bounds[number] = bounds[number] if value is None else operand(value)
    low, high = bounds
    if low is None and high is None:
        return x
    return torch.clamp(x, low, high) if None in bounds else F.hardtanh(x, low, high)


def _hard_sigmoid(a: Attributes, v: list[Any]) -> Tensor:
    alpha, beta = a.get("alpha", 0.2), a.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(v[0])
    return torch.clamp(alpha * v[0] + beta, 0, 1)


def _reshape(x: Tensor, sizes: Any) -> Tensor:
    shape = _numbers(sizes)
    shape = [x.shape[number] if size == 0 else size for number, size in enumerate(shape)]
    if shape[0] == 1 and len(shape) > 1 and math.prod(shape) != x.numel():  # the file may be made for one image
        batch = x.shape[0] if -1 in shape else -1
        if x.numel() % math.prod([batch, *shape[1:]]) == 0:
            shape[0] = batch
    return x.reshape(shape)


def _expand(x: Tensor, sizes: Any) -> Tensor:
    """Return a tensor with its axes of size 1 repeated; either shape may have more axes than the other."""
    return x.expand(np.broadcast_shapes(x.shape, tuple(_numbers(sizes))))


def _axes(a: Attributes, v: list[Any]) -> list[int]:
    return _numbers(v[1] if len(v) > 1 and v[1] is not None else a.get("axes", []))


def _squeeze(a: Attributes, v: list[Any]) -> Tensor:
    """Return a tensor without some axes; without all of size 1, except that of the images, if none are named."""
    x: Tensor = v[0]
    return torch.squeeze(x, _axes(a, v) or [axis for axis, size in enumerate(x.shape) if axis and size == 1])


def _unsqueeze(a: Attributes, v: list[Any]) -> Tensor:
    x: Tensor = v[0]
    axes = _axes(a, v)
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _flatten(a: Attributes, v: list[Any]) -> Tensor:
    """Return a matrix: the axes before one are its rows, the others its columns."""
    x: Tensor = v[0]
    axis = a.get("axis", 1)
    return x.reshape(math.prod(x.shape[: axis + x.dim() if axis < 0 else axis]), -1)


def _prelu(a: Attributes, v: list[Any]) -> Tensor:
    """Return a leaky ReLU with slopes that are learned, which were flattened when they were read."""
    x, slopes = v
    shape = a.get("slopes", slopes.shape)
    shape = [1] * (x.dim() - len(shape)) + list(shape)
    count = math.prod(shape)
    if count != 1 and shape[1] != count:  # neither one, nor one for each channel
        raise NotDescribed
    return F.prelu(x, slopes.reshape(-1) if slopes.dim() != 1 else slopes)


def _lrn(a: Attributes, v: list[Any]) -> Tensor:
    if a["size"] % 2 == 0:  # PyTorch has the odd neighbour before, ONNX after
        raise NotDescribed
    return F.local_response_norm(v[0], a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0))


def _global_pool(pool: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise NotDescribed
        return pool(x, 1)

    return function


def _reduce_mean(a: Attributes, v: list[Any]) -> Tensor:
    x: Tensor = v[0]
    axes = _axes(a, v)
    if not axes and a.get("noop_with_empty_axes", 0):
        return x
    return torch.mean(x, axes, keepdim=bool(a.get("keepdims", 1)))


def _pad(a: Attributes, v: list[Any]) -> Tensor:
    x, pads = v[0], _numbers(v[1] if len(v) > 1 else a["pads"])
    axes = _numbers(v[3]) if len(v) > 3 and v[3] is not None else range(x.dim())
    sides = [(0, 0)] * x.dim()
    for axis, side in zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True):
        sides[axis] = side
    mode = {"edge": "replicate", "wrap": "circular"}.get(name := a.get("mode", b"constant").decode(), name)
    if any(map(any, sides[:2])):
        raise NotDescribed
    flat = [number for side in reversed(sides[2:]) for number in side]
    if mode != "constant":
        return F.pad(x, flat, mode)
    return F.pad(x, flat, value=operand(v[2]) if len(v) > 2 and v[2] is not None else a.get("value", 0.0))


def rounded(value: Any) -> Any:
    """Return a number of 32 bits, or a list of them, with the digits that it was written with; else the value."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(str(np.float32(value))) if isinstance(value, float) else value


def operand(value: Any) -> Any:
    """Return a tensor, or a constant as a number or a tensor."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size > 1:
        return torch.from_numpy(value)
    return rounded(value.item()) if value.dtype == np.float32 else value.item()


PLAIN: Mapping[str, Callable[..., Any]] = {
    "Relu": F.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "HardSwish": F.hardswish,
    "GlobalAveragePool": _global_pool(F.adaptive_avg_pool2d),
    "GlobalMaxPool": _global_pool(F.adaptive_max_pool2d),
    "Identity": lambda x: x,
    "MatMul": _mat_mul,
    "Reshape": _reshape,
    "Expand": _expand,
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Pow": torch.pow,
}
"""PyTorch's function for each operator without attributes, called with its inputs."""

OF_SIZES = ("Reshape", "Expand")
"""Those whose second input is a shape, which is given to the function as it is."""

FUNCTIONS: Mapping[str, Function] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "BatchNormalization": _batch_norm,
    "LeakyRelu": lambda a, v: F.leaky_relu(v[0], a.get("alpha", 0.01)),
    "Elu": lambda a, v: F.elu(v[0], a.get("alpha", 1.0)),
    "Gelu": lambda a, v: F.gelu(v[0], approximate=a.get("approximate", b"none").decode()),
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "Softmax": lambda a, v: F.softmax(v[0], _softmax_axis(a, v[0])),
    "LogSoftmax": lambda a, v: F.log_softmax(v[0], _softmax_axis(a, v[0])),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LRN": _lrn,
    "PRelu": _prelu,
    "Dropout": lambda a, v: F.dropout(
        v[0], operand(v[1]) if len(v) > 1 and v[1] is not None else a.get("ratio", 0.5), training=False
    ),
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda a, v: v[0].permute(a.get("perm", [*reversed(range(v[0].dim()))])),
    "Concat": lambda a, v: torch.cat(v, a["axis"]),
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
}
"""PyTorch's function for each operator, called with its attributes and a list of its inputs."""

SETTINGS: Mapping[str, tuple[int, ...]] = {
    "Clip": (1, 2), "Dropout": (1,), "Pad": (2,), "Pow": (1,), "Resize": (1, 2), "Upsample": (1,),
}  # fmt: skip
"""Inputs that are settings rather than weights, by operator."""

WEIGHTED = ("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu")
"""Operators for which also a single number that is written in the graph is a weight."""
