"""Convolutions that are padded with something other than zeros."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from alexplore.export import export_preset
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers.conv2d import Conv2d
from alexplore.presets.preset import Preset
from alexplore.presets.reader import parse_preset
from alexplore.training.model.build import build, build_layer
from tests.support.examples import examples
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case
from tests.support.memory import kept_bytes
from tests.support.networks import Entry

MODES = ["reflect", "replicate", "circular"]
PADDED: list[dict[str, Any]] = [
    {"padding": [2, 1]},
    {"padding": [0, 1, 2, 3], "stride": 2},
    {"padding": "same", "kernel_size": 4, "stride": 3, "out_channels": 4},
    {"padding": "same", "dilation": 2, "groups": 2},
    {"padding": 2, "groups": 8, "trainable": False},
    {"padding": 0},
]


def network(*layers: Entry, shape: tuple[int, int, int] = (3, 8, 8)) -> Network:
    return read_network({"input": list(shape), "layers": list(layers)})


def conv(**settings_: Any) -> Entry:
    return {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel_size": 3, **settings_}


@pytest.mark.parametrize(("settings_", "mode"), product(PADDED, MODES), ids=str)
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_other_padding(check: LayerCheck, settings_: dict[str, Any], mode: str) -> None:
    check(Case(Conv2d, {**settings_, "padding_mode": mode}))


@examples(120)
@given(
    st.sampled_from(MODES),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 7), st.integers(0, 7)),
)
def test_padding_is_refused_where_pytorch_refuses_it(
    mode: str, size: tuple[int, int], kernel_size: tuple[int, int], padding: tuple[int, int]
) -> None:
    layer = conv(kernel_size=list(kernel_size), padding=list(padding), padding_mode=mode)
    row = analyse(network(layer, shape=(2, *size))).rows[0]
    try:
        module: Any = nn.Conv2d
        output = module(2, 4, kernel_size, padding=padding, padding_mode=mode)(torch.zeros(1, 2, *size))
    except RuntimeError as refused:
        assert row.output is None, refused
    else:
        assert row.output == tuple(output.shape[1:]), row.error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padding", [1, [1, 2, 0, 1], "same"], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_outputs_and_gradients_are_pytorchs(mode: str, padding: Any, dtype: torch.dtype) -> None:
    """Of `F.pad`, then a convolution without padding."""
    described = network(conv(padding=padding, padding_mode=mode, out_channels=16), shape=(16, 9, 9))
    row = analyse(described).rows[0]
    module = build_layer(row.layer, row.inputs).to(dtype).to(memory_format=torch.channels_last)
    maps = torch.randn(2, 16, 9, 9, dtype=dtype, requires_grad=True)
    sides = padding if isinstance(padding, list) else [1, 1, 1, 1]
    expected = F.conv2d(F.pad(maps, sides, mode), module.get_parameter("weight"), module.get_parameter("bias"))
    found = module(maps.contiguous(memory_format=torch.channels_last))
    scale = expected.abs().max()
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)
    toward = torch.randn_like(expected)
    read: list[Tensor] = [maps, *module.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found, read, toward), torch.autograd.grad(expected, read, toward), strict=True
    ):
        torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("mode", MODES)
def test_the_padded_copy_is_kept_and_nothing_else(mode: str, bits: int) -> None:
    """Not what is padded: a second convolution's input is an activation that nothing else keeps."""
    layers = network(conv(padding=1), {"type": "gelu"}, conv(name="conv2", padding=2, padding_mode=mode))
    model, analysis = build(layers, 1), analyse(layers)
    precision = torch.bfloat16 if bits == 16 else torch.float32
    two, three = (kept_bytes(model, torch.randn(count, 3, 8, 8), precision) for count in (2, 3))
    an_image = (3 * 8 * 8 + 4 * 8 * 8 + 4 * 12 * 12) * bits // 8  # the images, what gelu reads, the padded copy
    assert three - two == an_image
    assert analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations == an_image


@pytest.mark.parametrize(
    ("layer", "size", "error"),
    [
        (
            conv(padding=4, padding_mode="reflect"),
            (4, 6),
            "conv1: reflect padding 4 is more than the 3 that the input's height 4 allows: "
            'set padding to [3, 4], or padding_mode to "replicate", or input to 3×5×7',
        ),
        (
            conv(padding=[0, 7, 0, 0], padding_mode="circular"),
            (4, 6),
            "conv1: circular padding 7 is more than the 6 that the input's width 6 allows: "
            'set padding to [0, 6, 0, 0], or padding_mode to "replicate", or input to 3×5×7',
        ),
        (
            conv(padding="same", kernel_size=9, padding_mode="reflect"),
            (4, 4),
            "conv1: reflect padding 4 is more than the 3 that the input's height 4 allows: "
            'set padding_mode to "replicate", or input to 3×5×5',
        ),
    ],
)
def test_a_map_that_is_too_small_to_pad(layer: Entry, size: tuple[int, int], error: str) -> None:
    broken = analyse(network(layer, shape=(3, *size))).broken
    assert broken is not None
    assert broken.error == error


def test_the_reported_preset() -> None:
    text = """input = [3, 32, 32]
layers = [{ name = "p", type = "conv2d", out_channels = 4, kernel_size = 3, padding = 1, padding_mode = "reflect" }]"""
    preset = parse_preset(text, Path("reflect.toml"))
    analysis = analyse(preset.network)
    assert analysis.output == (4, 32, 32)
    assert analysis.rows[0].layer.summary() == "4 · 3×3 · pad 1 · reflect"
    code = export_preset(preset, "pytorch")
    assert 'nn.Conv2d(3, 4, kernel_size=3, padding=1, padding_mode="reflect")' in code


def test_uneven_sides_are_exported_as_a_padding_layer() -> None:
    described = network(conv(padding=[0, 1, 2, 3], padding_mode="circular"))
    code = export_preset(Preset("any", described), "pytorch")
    assert '"conv1_pad": nn.CircularPad2d((0, 1, 2, 3)),' in code
    assert "padding_mode" not in code
