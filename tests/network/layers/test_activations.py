"""Activations against their definitions, written out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.network.layers import LAYER_TYPES, read_layer
from alexplore.training.model.build import build, build_layer
from tests.support.memory import kept_bytes

Function = Callable[[float], float]

VALUES = [-7.5, -6.0, -3.0, -1.25, -0.5, 0.0, 0.5, 1.25, 3.0, 6.0, 7.5]
DEFINITIONS: list[tuple[str, Mapping[str, Any], Function]] = [
    ("relu", {}, lambda x: max(0.0, x)),
    ("tanh", {}, math.tanh),
    ("sigmoid", {}, lambda x: 1 / (1 + math.exp(-x))),
    ("relu6", {}, lambda x: min(max(0.0, x), 6.0)),
    ("leaky_relu", {}, lambda x: x if x > 0 else 0.01 * x),
    ("leaky_relu", {"negative_slope": 0.2}, lambda x: x if x > 0 else 0.2 * x),
    ("elu", {}, lambda x: x if x > 0 else math.exp(x) - 1),
    ("elu", {"alpha": 0.3}, lambda x: x if x > 0 else 0.3 * (math.exp(x) - 1)),
    ("gelu", {}, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    (
        "gelu",
        {"approximate": "tanh"},
        lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    ("silu", {}, lambda x: x / (1 + math.exp(-x))),
    ("hardswish", {}, lambda x: x * min(max(0.0, x + 3), 6.0) / 6),
    ("hardsigmoid", {}, lambda x: min(max(0.0, x + 3), 6.0) / 6),
    ("prelu", {}, lambda x: x if x > 0 else 0.25 * x),
    ("prelu", {"init": -0.5}, lambda x: x if x > 0 else -0.5 * x),
    ("prelu", {"num_parameters": len(VALUES)}, lambda x: x if x > 0 else 0.25 * x),
]


@pytest.mark.parametrize(("name", "settings", "function"), DEFINITIONS)
def test_definition(name: str, settings: Mapping[str, Any], function: Function) -> None:
    layer = read_layer({"name": "tested", "type": name, **settings}, "")
    values = torch.tensor([VALUES], dtype=torch.float64)
    found = build_layer(layer, ((len(VALUES),),)).double()(values.clone()).detach()
    torch.testing.assert_close(found, torch.tensor([[function(value) for value in VALUES]], dtype=torch.float64))


def test_all_activations_are_defined() -> None:
    activations = {name for name, cls in LAYER_TYPES.items() if cls.role == "activation"}
    assert {name for name, _, _ in DEFINITIONS} == activations


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("shape", [(3, 6, 5), (3, 1, 1), (1, 6, 5)], ids=str)
def test_softmax_keeps_its_output_with_channels_first(shape: tuple[int, int, int], bits: int) -> None:
    """Where that is another order than the one in which the next layer keeps it."""
    conv = {"type": "conv2d", "out_channels": shape[0], "kernel_size": 1}
    pool = {"type": "max_pool2d", "kernel_size": 1}
    layers = read_network({"input": list(shape), "layers": [conv, {"type": "softmax"}, pool]})
    model, analysis = build(layers, 1), analyse(layers)
    precision = torch.bfloat16 if bits == 16 else torch.float32
    two, three = (kept_bytes(model, torch.randn(count, *shape), precision) for count in (2, 3))
    assert analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations == three - two
