"""Every layer type over random settings: the shapes and parameters that PyTorch comes to, refused where it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.network.row import Row
from tests.support.examples import examples
from tests.support.networks import Entry, maps, sizes


def ours(shape: list[int], *layers: Entry) -> Row:
    """The last row of a network of these layers."""
    return analyse(read_network({"input": shape, "layers": list(layers)})).rows[-1]


def check(row: Row, make: Any, shape: list[int]) -> None:
    """Compare with the module that `make` gives, run on two samples."""
    try:
        module = make()
        output = module(torch.zeros(2, *shape))
    except (RuntimeError, ValueError) as refused:
        assert row.output is None, f"PyTorch refuses: {refused}"
        return
    assert row.output == tuple(output.shape[1:]), row.error
    named = dict(module.named_parameters())
    assert row.params == sum(parameter.numel() for parameter in named.values())
    assert row.parameters.biases == sum(p.numel() for name, p in named.items() if name.endswith("bias"))
    statistics = (buffer for name, buffer in module.named_buffers() if name.startswith("running"))
    assert row.parameters.buffers == sum(buffer.numel() for buffer in statistics)


def as_tuple(size: int | list[int]) -> Any:
    return size if isinstance(size, int) else tuple(size)


@examples(150)
@given(
    shape=maps(),
    out_channels=st.integers(1, 6),
    kernel_size=sizes(1, 5),
    stride=sizes(1, 4),
    padding=sizes(0, 3),
    dilation=sizes(1, 3),
    groups=st.integers(1, 4),
    bias=st.booleans(),
)
def test_conv2d(shape: list[int], **values: Any) -> None:
    given_ = {key: as_tuple(value) for key, value in values.items()}
    check(ours(shape, {"type": "conv2d", **values}), lambda: nn.Conv2d(shape[0], **given_), shape)


@examples(30)
@given(shape=maps(), in_channels=st.integers(1, 4))
def test_conv2d_checks_in_channels(shape: list[int], in_channels: int) -> None:
    layer = {"type": "conv2d", "out_channels": 2, "kernel_size": 1, "in_channels": in_channels}
    check(ours(shape, layer), lambda: nn.Conv2d(in_channels, 2, 1), shape)


@examples(150)
@pytest.mark.parametrize(("name", "module"), [("max_pool2d", nn.MaxPool2d), ("avg_pool2d", nn.AvgPool2d)])
@given(
    shape=maps(),
    kernel_size=sizes(1, 5),
    stride=st.none() | sizes(1, 6),
    padding=sizes(0, 3),
    ceil_mode=st.booleans(),
)
def test_pools(name: str, module: Any, shape: list[int], **values: Any) -> None:
    said = {key: value for key, value in values.items() if value is not None}
    given_ = {key: as_tuple(value) for key, value in said.items()}
    check(ours(shape, {"type": name, **said}), lambda: module(**given_), shape)


class Padded(nn.Module):
    """A module after a padding."""

    def __init__(self, sides: list[int], module: nn.Module) -> None:
        super().__init__()
        self.sides, self.module = sides, module

    def forward(self, images: torch.Tensor) -> Any:
        return self.module(F.pad(images, self.sides))


@examples(100)
@given(
    shape=maps(),
    kernel_size=sizes(1, 5),
    stride=sizes(1, 3),
    sides=st.lists(st.integers(0, 4), min_size=4, max_size=4),
)
def test_four_sides_are_left_right_top_bottom(
    shape: list[int], kernel_size: Any, stride: Any, sides: list[int]
) -> None:
    layer = {"type": "conv2d", "out_channels": 2, "kernel_size": kernel_size, "stride": stride, "padding": sides}
    convolution = nn.Conv2d(shape[0], 2, as_tuple(kernel_size), as_tuple(stride))
    check(ours(shape, layer), lambda: Padded(sides, convolution), shape)


@examples(100)
@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "avg_pool2d"])
@given(size=st.integers(1, 40), kernel=st.integers(1, 7), stride=st.integers(1, 5), dilation=st.integers(1, 3))
def test_same_is_tensorflows(name: str, size: int, kernel: int, stride: int, dilation: int) -> None:
    layer: Entry = {"type": name, "kernel_size": kernel, "stride": stride, "padding": "same"}
    if name == "conv2d":
        layer |= {"out_channels": 1, "dilation": dilation}
    else:
        dilation = 1
    row = ours([1, size, size], layer)
    outputs = math.ceil(size / stride)
    assert row.output == (1, outputs, outputs)
    assert row.windows is not None
    window = row.windows[0]
    # The windows reach exactly as far as they have to, and the odd pixel is behind the map.
    total = window.before + window.after
    assert total == max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
    assert window.before == total // 2
    positions = (size + total - dilation * (kernel - 1) - 1) // stride + 1
    assert positions == outputs


@examples(25)
@given(shape=maps() | st.lists(st.integers(1, 9), min_size=1, max_size=1), affine=st.booleans())
def test_batch_norm(shape: list[int], affine: bool) -> None:
    layers: list[Entry] = [{"type": "batch_norm", "affine": affine}]
    if len(shape) == 1:
        row = ours([shape[0], 1, 1], {"type": "flatten"}, *layers)
        check(row, lambda: nn.BatchNorm1d(shape[0], affine=affine), shape)
    else:
        check(ours(shape, *layers), lambda: nn.BatchNorm2d(shape[0], affine=affine), shape)


@examples(25)
@given(shape=maps(), size=st.integers(1, 7))
def test_local_response_norm(shape: list[int], size: int) -> None:
    check(ours(shape, {"type": "local_response_norm", "size": size}), lambda: nn.LocalResponseNorm(size), shape)


@examples(25)
@given(shape=maps())
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("relu", nn.ReLU),
        ("tanh", nn.Tanh),
        ("sigmoid", nn.Sigmoid),
        ("dropout", nn.Dropout),
        ("flatten", nn.Flatten),
        ("softmax", lambda: nn.Softmax(dim=1)),
    ],
)
def test_layers_without_parameters(name: str, module: Any, shape: list[int]) -> None:
    check(ours(shape, {"type": name}), module, shape)


@examples(100)
@given(features=st.integers(1, 9), said=st.none() | st.integers(1, 9), out=st.integers(1, 9), bias=st.booleans())
def test_linear(features: int, said: int | None, out: int, bias: bool) -> None:
    layer: Entry = {"type": "linear", "out_features": out, "bias": bias}
    if said is not None:
        layer["in_features"] = said
    row = ours([features, 1, 1], {"type": "flatten"}, layer)
    check(row, lambda: nn.Linear(said or features, out, bias), [features])


def test_a_map_is_no_vector() -> None:
    """PyTorch would let `nn.Linear` read the last axis of a map; a preset says what it means with a flatten layer."""
    assert ours([3, 4, 4], {"type": "linear", "out_features": 2}).output is None
    for layer in (
        {"type": "conv2d", "out_channels": 1, "kernel_size": 1},
        {"type": "max_pool2d", "kernel_size": 1},
        {"type": "adaptive_avg_pool2d", "output_size": 1},
        {"type": "local_response_norm", "size": 1},
    ):
        assert ours([3, 4, 4], {"type": "flatten"}, layer).output is None
