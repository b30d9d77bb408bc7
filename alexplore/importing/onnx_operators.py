"""ONNX operators as PyTorch functions, by their names.

Source: the operators' definitions, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attributes = Mapping[str, Any]
Function = Callable[[Attributes, list[Any]], Any]


class NotDescribed(Exception):
    """PyTorch has no function for an operator with such settings."""


def _numbers(value: Any) -> list[int]:
    return [int(one) for one in np.asarray(value).flatten()]


def _padding(a: Attributes, x: Tensor, window: list[int], fill: float) -> tuple[Tensor, list[int]]:
    """Return the input and the padding for PyTorch's operator; if the sides differ, the padded input and no padding."""
    pads = list(a.get("pads", [0] * 2 * len(window)))
    automatic = a.get("auto_pad", b"NOTSET").decode()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for size, kernel, stride, dilation in zip(
            x.shape[2:], window, a.get("strides", [1] * len(window)), a.get("dilations", [1] * len(window)), strict=True
        ):
            total = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
            small, large = total // 2, total - total // 2
            before.append(small if automatic == "SAME_UPPER" else large)
            after.append(large if automatic == "SAME_UPPER" else small)
        pads = before + after
    before, after = pads[: len(window)], pads[len(window) :]
    if before == after:
        return x, before
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
    if a.get("training_mode", 0):
        raise NotDescribed
    return F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5))


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
    if alpha == beta == 1:
        return F.linear(x, weight, bias)
    product = alpha * F.linear(x, weight)
    result: Tensor = product if bias is None else product + beta * bias
    return result


def _mat_mul(x: Tensor, other: Any) -> Tensor:
    """Return x · other; a matrix of weights was transposed when it was read."""
    return F.linear(x, other) if isinstance(other, nn.Parameter) and other.dim() == 2 else torch.matmul(x, other)


def _clip(a: Attributes, v: list[Any]) -> Tensor:
    bounds: list[Any] = [a.get("min"), a.get("max")]
    for number, value in enumerate(v[1:3]):
        bounds[number] = bounds[number] if value is None else float(np.asarray(value))
    low, high = bounds
    return F.hardtanh(v[0], low, high) if None not in bounds else torch.clamp(v[0], low, high)


def _hard_sigmoid(a: Attributes, v: list[Any]) -> Tensor:
    alpha, beta = a.get("alpha", 0.2), a.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(v[0])
    return torch.clamp(alpha * v[0] + beta, 0, 1)


def _reshape(x: Tensor, sizes: Any) -> Tensor:
    shape = _numbers(sizes)
    shape = [x.shape[number] if size == 0 else size for number, size in enumerate(shape)]
    if shape[0] in (1, -1) and len(shape) > 1:  # the file may be made for one image
        shape[0] = x.shape[0]
    return x.reshape(shape)


def _axes(a: Attributes, v: list[Any]) -> list[int]:
    return _numbers(v[1] if len(v) > 1 and v[1] is not None else a.get("axes", []))


def _squeeze(a: Attributes, v: list[Any]) -> Tensor:
    return torch.squeeze(v[0], _axes(a, v))


def _unsqueeze(a: Attributes, v: list[Any]) -> Tensor:
    x: Tensor = v[0]
    for axis in sorted(_axes(a, v)):
        x = x.unsqueeze(axis)
    return x


def _pad(a: Attributes, v: list[Any]) -> Tensor:
    pads = _numbers(v[1] if len(v) > 1 else a["pads"])
    half = len(pads) // 2
    sides = [side for pair in zip(reversed(pads[2:half]), reversed(pads[half + 2 :]), strict=True) for side in pair]
    mode = {"edge": "replicate", "wrap": "circular"}.get(name := a.get("mode", b"constant").decode(), name)
    if any(pads[:2] + pads[half : half + 2]):
        raise NotDescribed
    if mode != "constant":
        return F.pad(v[0], sides, mode)
    value = float(np.asarray(v[2])) if len(v) > 2 and v[2] is not None else a.get("value", 0.0)
    return F.pad(v[0], sides, value=value)


def operand(value: Any) -> Any:
    """Return a tensor, or a constant as a number or a tensor."""
    if not isinstance(value, np.ndarray):
        return value
    return value.item() if value.size == 1 else torch.from_numpy(value)


PLAIN: Mapping[str, Callable[..., Any]] = {
    "Relu": F.relu,
    "PRelu": lambda x, slopes: F.prelu(x, slopes.reshape(-1)),
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "HardSwish": F.hardswish,
    "GlobalAveragePool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "GlobalMaxPool": lambda x: F.adaptive_max_pool2d(x, 1),
    "Identity": lambda x: x,
    "MatMul": _mat_mul,
    "Reshape": _reshape,
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Pow": torch.pow,
}
"""PyTorch's function for each operator without attributes, called with its inputs."""

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
    "LRN": lambda a, v: F.local_response_norm(
        v[0], a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0)
    ),
    "Dropout": lambda a, v: F.dropout(
        v[0], float(np.asarray(v[1])) if len(v) > 1 and v[1] is not None else a.get("ratio", 0.5), training=False
    ),
    "Flatten": lambda a, v: torch.flatten(v[0], a.get("axis", 1)),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda a, v: v[0].permute(list(a["perm"])),
    "Concat": lambda a, v: torch.cat(v, a["axis"]),
    "Pad": _pad,
    "ReduceMean": lambda a, v: torch.mean(v[0], _axes(a, v), keepdim=bool(a.get("keepdims", 1))),
}
"""PyTorch's function for each operator, called with its attributes and a list of its inputs."""

SETTINGS: Mapping[str, tuple[int, ...]] = {
    "Clip": (1, 2), "Dropout": (1,), "Pad": (2,), "Pow": (1,), "Resize": (1, 2), "Upsample": (1,),
}  # fmt: skip
"""Inputs that are settings rather than weights, by operator."""
