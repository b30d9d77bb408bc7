"""Layers that read several others: what differs from one input, broadcasting, memory and fixes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alexplore.network.analysis import analyse
from alexplore.network.formulas import explain
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import LAYER_TYPES, read_layer
from alexplore.network.layers.base import Layer
from alexplore.network.layers.merge import Add, Concat, Mul
from alexplore.network.shapes import ShapeError
from alexplore.training.model.build import build, build_layer
from tests.support.examples import examples
from tests.support.formulas import check_explained
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import FIRST, TESTED, Case, Entry
from tests.support.memory import kept_bytes

MERGES = [cls for cls in LAYER_TYPES.values() if cls.role == "merge"]
DEFINITIONS: dict[str, Any] = {
    "add": torch.add,
    "mul": torch.mul,
    "concat": lambda one, other: torch.cat([one, other], 1),
}

THREE: list[Entry] = [
    {"name": "a", "type": "relu", "inputs": ["first"]},
    {"name": "b", "type": "tanh", "inputs": ["first"]},
    {"name": "c", "type": "sigmoid", "inputs": ["first"]},
]
GATE: list[Entry] = [
    {"name": "a", "type": "gelu", "inputs": ["first"]},
    {"name": "pooled", "type": "adaptive_avg_pool2d", "output_size": 1},
    {"name": "squeezed", "type": "conv2d", "out_channels": 2, "kernel_size": 1},
    {"name": "expanded", "type": "conv2d", "out_channels": 8, "kernel_size": 1},
    {"name": "gate", "type": "sigmoid"},
]
"""A squeeze-and-excitation block (Hu et al. 2018): a factor for each channel."""

MASK: list[Entry] = [
    {"name": "a", "type": "gelu", "inputs": ["first"]},
    {"name": "mask", "type": "conv2d", "out_channels": 1, "kernel_size": 1, "inputs": ["first"]},
]
"""A factor for each position."""


@dataclass(frozen=True)
class Branches(Case):
    """A merge that reads some of the layers behind a convolution."""

    branches: Sequence[Entry] = ()
    reads: Sequence[str] = field(default_factory=tuple)

    @cached_property
    def layers(self) -> list[Entry]:
        return [FIRST, *self.branches, {"name": TESTED, "type": self.cls.type, "inputs": list(self.reads)}]


CASES = {
    **{f"{cls.type} of three": Branches(cls, branches=THREE, reads=("a", "b", "c")) for cls in MERGES},
    **{f"{cls.type} of one twice": Branches(cls, branches=THREE[:1], reads=("a", "a")) for cls in MERGES},
    "mul with a gate": Branches(Mul, branches=GATE, reads=("a", "gate")),
    "mul of a gate": Branches(Mul, branches=GATE, reads=("gate", "a")),
    "mul with a mask": Branches(Mul, branches=MASK, reads=("a", "mask")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("check", [check for check in LAYER_CHECKS if check.__name__ != "check_comparison"])
def test_other_inputs(check: LayerCheck, case: Branches) -> None:
    check(case)


def network(*layers: Entry, shape: tuple[int, int, int] = (3, 8, 8)) -> Network:
    return read_network({"input": list(shape), "layers": list(layers)})


shapes = st.lists(st.integers(1, 3), min_size=3, max_size=3) | st.lists(st.integers(1, 3), min_size=1, max_size=1)


@examples(150)
@pytest.mark.parametrize("cls", MERGES)
@given(inputs=st.lists(shapes, min_size=2, max_size=3))
def test_shapes_are_joined_where_pytorch_joins_them(cls: type[Layer], inputs: list[list[int]]) -> None:
    """Inputs of one rank; sums of one shape alone."""
    layer = read_layer({"name": "m", "type": cls.type, "inputs": ["a", "b", "c"][: len(inputs)]}, "")
    one_rank, one_shape = len({len(shape) for shape in inputs}) == 1, len(set(map(tuple, inputs))) == 1
    expected = None
    if one_rank and (cls is not Add or one_shape):
        try:
            expected = reduce(DEFINITIONS[cls.type], [torch.ones(1, *shape) for shape in inputs]).shape[1:]
        except RuntimeError:
            expected = None
    try:
        found = layer.output_shape(tuple(map(tuple, inputs)))
    except ShapeError:
        assert expected is None
    else:
        assert expected is not None and found == tuple(expected)


@pytest.mark.parametrize("cls", MERGES)
def test_definition(cls: type[Layer]) -> None:
    layer = read_layer({"name": "m", "type": cls.type, "inputs": ["a", "b", "c"]}, "")
    values = [torch.randn(2, 4, 5, 6) for _ in range(3)]
    found = build_layer(layer, ((4, 5, 6),) * 3)(*values)
    assert torch.equal(found, reduce(DEFINITIONS[cls.type], values))


def test_a_factor_is_kept_for_the_gradients_of_others_alone() -> None:
    """The images have no gradient: so what they multiply is not kept."""
    first: Entry = {"type": "conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1}
    layers = network({"name": "conv", **first}, {"name": "product", "type": "mul", "inputs": ["conv", "input"]})
    images = torch.randn(2, 3, 8, 8)
    kept = kept_bytes(build(layers, 1), images)
    assert kept == analyse(layers).memory(2).activations == images.nbytes


@pytest.mark.parametrize(
    ("cls", "reads", "text"),
    [
        (Add, ("a", "b", "c"), "8·12·10 = 960"),
        (Mul, ("a", "b", "c"), "8·12·10 = 960"),
        (Concat, ("a", "b", "c"), "(8 + 8 + 8)·12·10 = 2,880"),
    ],
)
def test_the_output_explained(cls: type[Layer], reads: tuple[str, ...], text: str) -> None:
    case = Branches(cls, branches=THREE, reads=reads)
    check_explained(case.row, case.network)
    assert explain(case.row, case.network)[0].text == text


def conv(name: str, channels: int, **settings_: Any) -> Entry:
    own = {"name": name, "type": "conv2d", "inputs": ["input"]}
    return {**own, "out_channels": channels, "kernel_size": 1, **settings_}


@pytest.mark.parametrize(
    ("branches", "error"),
    [
        (
            [conv("a", 4), conv("b", 6), {"name": "sum", "type": "add", "inputs": ["a", "b"]}],
            "sum adds inputs of one shape, gets a 4×8×8, b 6×8×8: set b's out_channels to 4, or a's out_channels to 6, "
            "or insert conv2d out_channels 4 kernel_size 1 between b and sum",
        ),
        (
            [conv("a", 4, stride=2), conv("b", 4), {"name": "sum", "type": "add", "inputs": ["a", "b"]}],
            "sum adds inputs of one shape, gets a 4×4×4, b 4×8×8: "
            "insert conv2d out_channels 4 kernel_size 1 stride 2 between b and sum, "
            "or insert adaptive_avg_pool2d output_size 4 between b and sum",
        ),
        (
            [conv("a", 4), conv("gate", 6, kernel_size=8), {"name": "product", "type": "mul", "inputs": ["a", "gate"]}],
            "product multiplies inputs of one shape, or of size 1 along an axis, gets a 4×8×8, gate 6×1×1: "
            "set gate's out_channels to 4, or a's out_channels to 6, "
            "or insert conv2d out_channels 4 kernel_size 1 between gate and product",
        ),
        (
            [
                conv("mask", 1),
                conv("a", 4),
                conv("b", 6),
                {"name": "product", "type": "mul", "inputs": ["mask", "a", "b"]},
            ],
            "product multiplies inputs of one shape, or of size 1 along an axis, gets mask 1×8×8, a 4×8×8, b 6×8×8: "
            "set b's out_channels to 4, or a's out_channels to 6, "
            "or insert conv2d out_channels 4 kernel_size 1 between b and product",
        ),
        (
            [conv("a", 4, kernel_size=3), conv("b", 4), {"name": "both", "type": "concat", "inputs": ["a", "b"]}],
            "both concatenates maps of one height and width, gets a 4×6×6, b 4×8×8: "
            "insert adaptive_avg_pool2d output_size 6 between b and both",
        ),
    ],
)
def test_what_does_not_fit_is_fixed(branches: list[Entry], error: str) -> None:
    broken = analyse(network(*branches)).broken
    assert broken is not None
    assert broken.error == error
    for fix in broken.fixes:
        assert math.prod(analyse(fix.network).output or ()) > 0
