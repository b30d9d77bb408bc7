"""Normalisation over a whole image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alexplore.network.analysis import analyse
from alexplore.network.formulas import explain
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import read_layer
from alexplore.network.layers.layer_norm import LayerNorm
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build, build_layer
from alexplore.training.parallel.towers import place
from tests.support.examples import examples
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case
from tests.support.memory import kept_bytes
from tests.support.networks import Entry, maps

CONV: Entry = {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1}


def network(*layers: Entry, shape: tuple[int, ...] = (3, 8, 8)) -> Network:
    return read_network({"input": list(shape), "layers": list(layers)})


@pytest.mark.parametrize("case", [{"eps": 0.1}, {"elementwise_affine": False, "bias": False}], ids=str)
@pytest.mark.parametrize("vector", [False, True], ids=["map", "vector"])
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_other_settings(check: LayerCheck, case: dict[str, Any], vector: bool) -> None:
    if check.__name__ == "check_summary":  # two settings say one thing there
        return
    check(Case(LayerNorm, case, vector))


@pytest.mark.parametrize("shape", [(6, 4, 5), (6,)])
def test_definition(shape: tuple[int, ...]) -> None:
    """(x − mean) / √(variance + eps) over all values of an image."""
    layer = read_layer({"name": "norm", "type": "layer_norm", "eps": 0.01}, "")
    values = torch.randn(2, *shape, dtype=torch.float64)
    found = build_layer(layer, (shape,)).double()(values)
    for image in range(2):
        own = values[image]
        variance = ((own - own.mean()) ** 2).mean()
        torch.testing.assert_close(found[image], (own - own.mean()) / (variance + 0.01).sqrt())


@examples(50)
@given(maps() | st.lists(st.integers(1, 8), min_size=1, max_size=1), st.booleans(), st.booleans())
def test_parameters_are_pytorchs(shape: list[int], elementwise_affine: bool, bias: bool) -> None:
    layer = {"type": "layer_norm", "elementwise_affine": elementwise_affine, "bias": bias}
    on_map = network(layer, shape=tuple(shape)) if len(shape) == 3 else None
    row = analyse(on_map or network({"type": "flatten"}, layer, shape=(shape[0], 1, 1))).rows[-1]
    module = nn.LayerNorm(shape, elementwise_affine=elementwise_affine, bias=bias)
    assert row.params == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("affine", [True, False])
def test_memory_of_a_batch_in_16_bits(affine: bool) -> None:
    """The convolution's 3·3·3·8 weights are copied as well."""
    layers = network(CONV, {"type": "layer_norm", "elementwise_affine": affine})
    model, images, analysis = build(layers, 1), torch.randn(2, 3, 8, 8), analyse(layers)
    assert kept_bytes(model, images) == analysis.memory(2).activations
    copies = 2 * 3 * 3 * 3 * 8
    assert kept_bytes(model, images, torch.bfloat16) == analysis.memory(2, bits=16).activations + copies


@pytest.mark.parametrize("bits", [32, 16])
def test_the_next_convolution_makes_no_copy(bits: int) -> None:
    """Of a map with its channels first, which the activation between the two would keep as well."""
    layers = network(CONV, {"type": "layer_norm"}, {"type": "relu"}, CONV)
    model, analysis = build(layers, 1), analyse(layers)
    precision = torch.bfloat16 if bits == 16 else torch.float32
    two, three = (kept_bytes(model, torch.randn(count, 3, 8, 8), precision) for count in (2, 3))
    assert analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations == three - two


@pytest.mark.parametrize(
    ("settings", "text", "rule"),
    [
        ({}, "2·8·8·8 = 1,024", "(scale + shift)·channels·height·width"),
        ({"bias": False}, "8·8·8 = 512", "channels·height·width"),
        ({"elementwise_affine": False}, "0", ""),
    ],
)
def test_the_parameters_explained(settings: dict[str, Any], text: str, rule: str) -> None:
    layers = network(CONV, {"type": "layer_norm", **settings})
    formula = explain(analyse(layers).rows[-1], layers)[1]
    assert (formula.quantity, formula.text, formula.rule) == ("params", text, rule)


def test_it_is_not_split_over_towers() -> None:
    layers = network(
        CONV, {"name": "norm1", "type": "layer_norm"}, {"type": "flatten"}, {"type": "linear", "out_features": 2}
    )
    with pytest.raises(UsageError, match=r"norm1 can't be split: it normalises over all channels; use group_norm"):
        place(layers.with_towers(2))
