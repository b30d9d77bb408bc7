"""The ReLU that learns its slope: one, or one for each channel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers.prelu import PReLU
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build
from alexplore.training.parallel.towers import place
from tests.support.examples import examples
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case
from tests.support.memory import kept_bytes
from tests.support.networks import Entry, maps


def network(*layers: Entry, shape: tuple[int, ...] = (3, 8, 8)) -> Network:
    return read_network({"input": list(shape), "layers": list(layers)})


@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_one_slope_for_each_channel(check: LayerCheck) -> None:
    check(Case(PReLU, {"num_parameters": 8}))


@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_one_slope_for_each_feature(check: LayerCheck) -> None:
    check(Case(PReLU, {"num_parameters": 960}, vector=True))


@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_another_slope_at_the_start(check: LayerCheck) -> None:
    check(Case(PReLU, {"init": 0.5}))


@examples(60)
@given(maps() | st.lists(st.integers(1, 6), min_size=1, max_size=1), st.integers(1, 6))
def test_slopes_are_refused_where_pytorch_refuses_them(shape: list[int], slopes: int) -> None:
    layer: Entry = {"type": "prelu", "num_parameters": slopes}
    on_map = network(layer, shape=tuple(shape)) if len(shape) == 3 else None
    row = analyse(on_map or network({"type": "flatten"}, layer, shape=(shape[0], 1, 1))).rows[-1]
    try:
        output = nn.PReLU(slopes)(torch.zeros(2, *shape))
    except RuntimeError:
        assert row.output is None
    else:
        assert row.output == tuple(output.shape[1:])


def test_the_number_of_slopes_is_fixed() -> None:
    broken = analyse(
        network(
            {"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel_size": 3},
            {"name": "act1", "type": "prelu", "num_parameters": 4},
        )
    ).broken
    assert broken is not None
    assert broken.error == (
        "act1 has 4 slopes, its input has 6 channels: "
        "set num_parameters to 6, or num_parameters to 1, or conv1's out_channels to 4"
    )


def test_memory_of_a_batch_in_16_bits_has_the_copy_of_the_slopes() -> None:
    """In fp32 to the byte; in 16 bits the convolution's 3·3·3·8 weights and 8 biases are copied as well."""
    layers = network(
        {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1}, {"type": "prelu", "num_parameters": 8}
    )
    model, images, analysis = build(layers, 1), torch.randn(2, 3, 8, 8), analyse(layers)
    assert kept_bytes(model, images) == analysis.memory(2).activations
    copies = 2 * 3 * 3 * 3 * 8
    assert kept_bytes(model, images, torch.bfloat16) == analysis.memory(2, bits=16).activations + copies


def test_one_slope_is_not_split_over_towers() -> None:
    layers = network(
        {"type": "conv2d", "out_channels": 4, "kernel_size": 3},
        {"name": "act1", "type": "prelu"},
        {"type": "flatten"},
        {"type": "linear", "out_features": 2},
    )
    with pytest.raises(UsageError, match=r"act1 can't be split: .* set num_parameters to the number of channels"):
        place(layers.with_towers(2))
