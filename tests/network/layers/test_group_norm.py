"""Normalisation over groups of channels."""

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
from alexplore.network.layers.group_norm import GroupNorm
from alexplore.network.row import Row
from alexplore.training.model.build import build, build_layer
from tests.support.examples import examples
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case
from tests.support.memory import kept_bytes
from tests.support.networks import Entry, maps


def network(*layers: Entry, shape: tuple[int, ...] = (3, 8, 8)) -> Network:
    return read_network({"input": list(shape), "layers": list(layers)})


@pytest.mark.parametrize("case", [{"num_groups": 1}, {"num_groups": 8}, {"num_groups": 4, "eps": 0.1}], ids=str)
@pytest.mark.parametrize("vector", [False, True], ids=["map", "vector"])
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_other_groups(check: LayerCheck, case: dict[str, Any], vector: bool) -> None:
    check(Case(GroupNorm, case, vector))


@pytest.mark.parametrize("shape", [(6, 4, 5), (6,)])
def test_definition(shape: tuple[int, ...]) -> None:
    """(x − mean) / √(variance + eps) over a group of three channels."""
    layer = read_layer({"name": "norm", "type": "group_norm", "num_groups": 2, "eps": 0.01}, "")
    values = torch.randn(2, *shape, dtype=torch.float64)
    found = build_layer(layer, (shape,)).double()(values)
    for image in range(2):
        for group in (slice(0, 3), slice(3, 6)):
            own = values[image, group]
            variance = ((own - own.mean()) ** 2).mean()
            torch.testing.assert_close(found[image, group], (own - own.mean()) / (variance + 0.01).sqrt())


def last_row(shape: list[int], layer: Entry) -> Row:
    if len(shape) == 3:
        return analyse(network(layer, shape=tuple(shape))).rows[-1]
    return analyse(network({"type": "flatten"}, layer, shape=(shape[0], 1, 1))).rows[-1]


@examples(100)
@given(maps() | st.lists(st.integers(1, 8), min_size=1, max_size=1), st.integers(1, 6), st.booleans())
def test_groups_are_refused_where_pytorch_refuses_them_for_an_image(
    shape: list[int], num_groups: int, affine: bool
) -> None:
    row = last_row(shape, {"type": "group_norm", "num_groups": num_groups, "affine": affine})
    try:
        output = nn.GroupNorm(num_groups, shape[0], affine=affine)(torch.zeros(1, *shape))
    except ValueError:
        assert row.output is None
    else:
        assert row.output == tuple(output.shape[1:])


@pytest.mark.parametrize(
    ("before", "num_groups", "error"),
    [
        (
            {"type": "conv2d", "name": "conv1", "out_channels": 12, "kernel_size": 3},
            5,
            "norm1: 12 channels don't divide into 5 groups: set num_groups to 4, or conv1's out_channels to 10",
        ),
        (
            {"type": "adaptive_avg_pool2d", "output_size": 1},
            3,
            "norm1: each of its 3 groups is one value, which has no variance: set num_groups to 1",
        ),
    ],
)
def test_what_is_refused_is_fixed(before: Entry, num_groups: int, error: str) -> None:
    broken = analyse(network(before, {"name": "norm1", "type": "group_norm", "num_groups": num_groups})).broken
    assert broken is not None
    assert broken.error == error


@pytest.mark.parametrize("affine", [True, False])
def test_memory_of_a_batch_in_16_bits(affine: bool) -> None:
    """The convolution's 3·3·3·8 weights are copied as well."""
    layers = network(
        {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
        {"type": "group_norm", "num_groups": 4, "affine": affine},
    )
    model, images, analysis = build(layers, 1), torch.randn(2, 3, 8, 8), analyse(layers)
    assert kept_bytes(model, images) == analysis.memory(2).activations
    copies = 2 * 3 * 3 * 3 * 8
    assert kept_bytes(model, images, torch.bfloat16) == analysis.memory(2, bits=16).activations + copies


def test_statistics_are_left_out_of_the_receptive_field() -> None:
    conv = {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}
    layers = network(conv, {"type": "group_norm", "num_groups": 2})
    row = analyse(layers).rows[-1]
    assert (row.height.size, row.height.jump, row.height.start) == (3, 1, -1)
    (formula,) = [formula for formula in explain(row, layers) if formula.quantity == "receptive field"]
    assert formula.note == "as what it reads, besides the statistics, which are of the whole map"
