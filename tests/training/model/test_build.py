"""The built module against PyTorch's own layers, and against definitions written out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from alexplore.core.settings import SettingError
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import read_layer
from alexplore.network.shapes import ShapeError
from alexplore.presets.library import load_preset
from alexplore.training.kernels.convolution import Conv
from alexplore.training.model.build import build, build_layer, check_classifier, check_last_batch, logits
from tests.support.examples import examples
from tests.support.networks import presets_to_run

Array = npt.NDArray[np.float64]


def network(input: list[int], *layers: dict[str, Any]) -> Network:
    return read_network({"input": input, "layers": list(layers)})


@pytest.mark.parametrize("name", presets_to_run())
def test_presets_build_with_the_shapes_and_parameters_of_their_analysis(name: str) -> None:
    described = load_preset(name).network
    with torch.device("meta"):
        model = build(described).eval()
    found = []
    for child, layer in model.named_children():
        layer.register_forward_hook(lambda *run, child=child: found.append((child, tuple(run[2].shape[1:]))))
    model(torch.empty(1, *described.input, device="meta"))
    rows = analyse(described).rows
    assert found == [(row.layer.name, row.output) for row in rows]
    parameters = [sum(parameter.numel() for parameter in layer.parameters()) for layer in model.children()]
    assert parameters == [row.params for row in rows]


def test_same_seed_gives_same_weights_and_init_is_followed() -> None:
    described = network(
        [3, 8, 8],
        {"name": "conv", "type": "conv2d", "out_channels": 64, "kernel_size": 5, "init": {"std": 0.5, "bias": 1}},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 10},
    )
    one, again, other = build(described, 1), build(described, 1), build(described, 2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.get_parameter("fc.weight"), other.get_parameter("fc.weight"))
    weight = one.get_parameter("conv.weight")
    assert abs(float(weight.detach().std()) - 0.5) < 0.03
    assert abs(float(weight.detach().mean())) < 0.03
    assert bool((one.get_parameter("conv.bias") == 1).all())
    bound = 1 / math.sqrt(64 * 16)  # PyTorch's default
    assert 0.9 * bound < float(one.get_parameter("fc.weight").detach().abs().max()) <= bound


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(network([1, 4, 4], {"name": "c", "type": "conv2d", "out_channels": 2, "kernel_size": 3}), 1)
    assert torch.equal(torch.rand(3), expected)


def test_four_sided_max_pool_rounding_up_never_takes_a_window_that_starts_in_the_padding() -> None:
    settings_ = {"kernel_size": 3, "stride": 2, "padding": [0, 1, 0, 1], "ceil_mode": True}
    layer = read_layer({"name": "pool", "type": "max_pool2d", **settings_}, "pool")
    maps = -torch.rand(1, 2, 5, 6)
    assert torch.equal(
        build_layer(layer, ((2, 5, 6),))(maps), torch.from_numpy(by_hand("max", maps.numpy(), settings_))
    )


def sides(padding: Any, length: int, axis: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after an axis (0 height, 1 width) by the documentation of PyTorch and TensorFlow."""
    if padding == "same":
        total = max(0, (math.ceil(length / stride) - 1) * stride + dilation * (kernel - 1) + 1 - length)
        return total // 2, total - total // 2
    if padding == "valid":
        return 0, 0
    if isinstance(padding, int):
        return padding, padding
    if len(padding) == 2:
        return padding[axis], padding[axis]
    return (padding[2], padding[3]) if axis == 0 else (padding[0], padding[1])


def by_hand(kind: str, maps: Array, given: dict[str, Any]) -> Array:
    """Pooling, window by window."""
    kernel, stride = given["kernel_size"], given["stride"]
    (top, bottom), (left, right) = (
        sides(given["padding"], maps.shape[2 + axis], axis, kernel, stride, 1) for axis in (0, 1)
    )

    def starts(length: int, before: int, after: int) -> list[int]:
        end, found = length + after, [-before]
        while found[-1] + stride + kernel <= end:
            found.append(found[-1] + stride)
        rest = found[-1] + kernel < end
        if given["ceil_mode"] and rest and found[-1] + stride < length:  # PyTorch: none starts in the padding behind
            found.append(found[-1] + stride)
        return found

    rows, columns = starts(maps.shape[2], top, bottom), starts(maps.shape[3], left, right)
    out = np.zeros((*maps.shape[:2], len(rows), len(columns)), maps.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = maps[:, :, max(0, row) : row + kernel, max(0, column) : column + kernel]
            if kind == "max":
                out[:, :, i, j] = window.max((2, 3))
                continue
            # PyTorch counts padding, but not what a rounded-up window has beyond it; TensorFlow counts neither.
            height = min(row + kernel, maps.shape[2] + bottom) - row
            width = min(column + kernel, maps.shape[3] + right) - column
            count = window.shape[2] * window.shape[3] if given["padding"] == "same" else height * width
            out[:, :, i, j] = window.sum((2, 3)) / count
    return out


@st.composite
def pools(draw: st.DrawFn) -> tuple[dict[str, Any], int, int]:
    kernel = draw(st.integers(1, 4))
    pad = st.integers(0, kernel // 2)
    padding = draw(st.one_of(pad, st.just("same"), st.just("valid"), st.lists(pad, min_size=4, max_size=4)))
    given_ = {
        "kernel_size": kernel,
        "stride": draw(st.integers(1, 4)),
        "padding": padding,
        "ceil_mode": draw(st.booleans()) if padding != "same" else False,
    }
    return given_, draw(st.integers(kernel, 9)), draw(st.integers(kernel, 9))


@examples(100)
@given(pools(), st.sampled_from(["max", "avg"]))
def test_pools_agree_with_windows_by_hand(pool: tuple[dict[str, Any], int, int], kind: str) -> None:
    given_, height, width = pool
    layer = read_layer({"name": "pool", "type": f"{kind}_pool2d", **given_}, "pool")
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = by_hand(kind, maps.numpy(), given_)
    assert layer.output_shape(((3, height, width),)) == expected.shape[1:]
    torch.testing.assert_close(build_layer(layer, ((3, height, width),))(maps), torch.from_numpy(expected))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    groups = draw(st.sampled_from([1, 2, 3, 6]))
    kernel = draw(st.integers(1, 4))
    side = st.integers(0, 3)
    return {
        "out_channels": groups * draw(st.integers(1, 3)),
        "kernel_size": kernel,
        "stride": draw(st.integers(1, 3)),
        "dilation": draw(st.integers(1, 2)),
        "padding": draw(
            st.one_of(side, st.sampled_from(["same", "valid"]), st.lists(side, min_size=4, max_size=4), st.just([1, 2]))
        ),
        "groups": groups,
        "bias": draw(st.booleans()),
    }, groups * draw(st.integers(1, 3))


@examples(60)
@given(convolutions(), st.integers(8, 10), st.integers(8, 10))
def test_convolutions_agree_with_pytorch(convolution: tuple[dict[str, Any], int], height: int, width: int) -> None:
    given_, channels = convolution
    layer = read_layer({"name": "conv", "type": "conv2d", **given_}, "conv")
    module = build_layer(layer, ((channels, height, width),)).double().to(memory_format=torch.channels_last)
    assert isinstance(module, Conv)
    maps = torch.randn(2, channels, height, width, dtype=torch.float64, requires_grad=True)
    kernel, stride, dilation = given_["kernel_size"], given_["stride"], given_["dilation"]
    (top, bottom), (left, right) = (
        sides(given_["padding"], (height, width)[axis], axis, kernel, stride, dilation) for axis in (0, 1)
    )
    weight, bias = module.get_parameter("weight"), module.get_parameter("bias") if given_["bias"] else None
    padded = F.pad(maps, (left, right, top, bottom))
    expected = F.conv2d(padded, weight, bias, stride, 0, dilation, given_["groups"])
    inputs = [maps, *module.parameters()]
    actual = module(maps.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected)
    toward = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(actual, inputs, toward), torch.autograd.grad(expected, inputs, toward), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("kernel", "dilation", "used"),
    [(1, [1, 2], (1, 1)), ([1, 2], 2, (1, 2)), ([2, 1], [3, 2], (3, 1)), ([2, 2], [1, 2], (1, 2))],
)
def test_an_axis_of_one_tap_is_not_dilated(kernel: Any, dilation: Any, used: tuple[int, int]) -> None:
    """PyTorch 2.14 crashes at such a convolution with channels last, groups of one channel, a bias and padding."""
    settings = {"out_channels": 6, "kernel_size": kernel, "stride": 2, "padding": 1, "groups": 3, "dilation": dilation}
    model = build(network([3, 5, 5], {"type": "conv2d", **settings}), seed=1)
    (conv,) = (module for module in model.modules() if isinstance(module, Conv))
    assert conv.dilation == used  # before it can crash
    images = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    expected = F.conv2d(images, conv.weight.contiguous(), conv.bias, 2, 1, used, 3)
    torch.testing.assert_close(model(images.to(memory_format=torch.channels_last)), expected)


def test_overwriting_relus_change_no_gradient() -> None:
    described = network(
        [2, 9, 9],
        {"name": "first", "type": "relu"},
        {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel_size": 3},
        {"name": "a", "type": "relu"},
        {"name": "pool", "type": "max_pool2d", "kernel_size": 2},
        {"name": "b", "type": "relu"},
        {"name": "norm", "type": "local_response_norm", "size": 3},
        {"name": "c", "type": "relu"},
        {"name": "d", "type": "relu"},
        {"name": "tanh", "type": "tanh"},
        {"name": "e", "type": "relu"},
        {"name": "bn", "type": "batch_norm"},
        {"name": "f", "type": "relu"},
        {"name": "flat", "type": "flatten"},
        {"name": "g", "type": "relu"},
        {"name": "fc", "type": "linear", "out_features": 3},
    )
    model = build(described, 3).double()
    careful = nn.Sequential(*(nn.ReLU() if isinstance(m, nn.ReLU) else m for m in model.children()))
    images = torch.randn(3, 2, 9, 9, dtype=torch.float64)
    kept = images.clone()
    grads = []
    for one in (model, careful):
        model.zero_grad()
        one(images).square().sum().backward()
        grads.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    assert torch.equal(images, kept)
    assert len(grads[0]) == 6
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_frozen_layers_keep_weights_and_statistics() -> None:
    described = network(
        [1, 4, 4],
        {"name": "conv", "type": "conv2d", "out_channels": 2, "kernel_size": 3, "trainable": False},
        {"name": "bn", "type": "batch_norm", "trainable": False},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 3},
    )
    model = build(described, 0).train()
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]
    before = model.get_buffer("bn.running_mean").clone()
    model(torch.randn(8, 1, 4, 4))
    assert torch.equal(model.get_buffer("bn.running_mean"), before)


@pytest.mark.parametrize("images", [16, 17, 1])
@pytest.mark.parametrize("vector", [True, False])
def test_a_batch_of_one_is_refused_where_pytorch_can_not_normalise_it(images: int, vector: bool) -> None:
    flat = [{"name": "flat", "type": "flatten"}]
    bn = [{"name": "bn", "type": "batch_norm"}]
    fc = {"name": "fc", "type": "linear", "out_features": 3}
    described = network([1, 4, 4], *(flat + bn if vector else bn + flat), fc)
    model = build(described, 0).train()
    refused = works = False
    try:
        check_last_batch(described, images, 4)
    except SettingError as error:
        refused = "bn normalises over a batch" in str(error)
    try:
        for batch in torch.split(torch.randn(images, 1, 4, 4), 4):
            model(batch)
        works = True
    except ValueError:
        pass
    assert refused != works


def test_logits_stop_before_a_last_softmax_only() -> None:
    described = network(
        [1, 2, 2],
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 3},
        {"name": "softmax", "type": "softmax"},
    )
    model = build(described, 0)
    images = torch.randn(4, 1, 2, 2)
    probabilities: Tensor = model(images)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(4))
    torch.testing.assert_close(logits(model, images).softmax(1), probabilities)
    without = build(described.remove(2), 0)
    assert torch.equal(logits(without, images), without(images))


def test_what_cannot_be_built_or_trained_is_told() -> None:
    broken = network([1, 4, 4], {"name": "conv", "type": "conv2d", "out_channels": 2, "kernel_size": 9})
    with pytest.raises(ShapeError, match="conv: the window's height 9 is larger than the input's 4"):
        build(broken)
    with pytest.raises(ShapeError, match=r"ends in a 2×2×2 map.*flatten"):
        check_classifier(broken.change(0, {"kernel_size": 3}))
