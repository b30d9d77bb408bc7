"""A vector as a map."""

from __future__ import annotations

import pytest
import torch

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import read_layer
from alexplore.training.model.build import build, build_layer
from tests.support.networks import Entry

GATE: list[Entry] = [
    {"name": "conv", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"name": "pool", "type": "adaptive_avg_pool2d", "output_size": 1},
    {"name": "vector", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 8},
    {"name": "map", "type": "unflatten", "unflattened_size": [8, 1, 1]},
    {"name": "scaled", "type": "mul", "inputs": ["conv", "map"]},
]


def network(*layers: Entry, shape: tuple[int, ...] = (3, 9, 7)) -> Network:
    return read_network({"input": list(shape), "layers": list(layers)})


def test_order_of_values() -> None:
    values = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 60)
    layer = read_layer({"name": "map", "type": "unflatten", "unflattened_size": [3, 4, 5]}, "")
    found = build_layer(layer, ((60,),))(values)
    assert found[1, 2, 3, 4] == 119
    assert found[0, 1, 2, 3] == 1 * 20 + 2 * 5 + 3


def test_channels_are_scaled_by_what_is_calculated_from_their_means() -> None:
    model, images = build(network(*GATE), 1).eval(), torch.randn(2, 3, 9, 7)
    weights = dict(model.named_parameters())
    maps = torch.conv2d(images, weights["conv.weight"], weights["conv.bias"], padding=1)
    scales = torch.einsum("oc,nc->no", weights["fc.weight"], maps.mean((2, 3))) + weights["fc.bias"]
    torch.testing.assert_close(model(images), maps * scales[:, :, None, None])


def test_every_output_sees_what_the_vector_sees() -> None:
    *_, image, grown = analyse(
        network(
            {"type": "conv2d", "out_channels": 2, "kernel_size": 3, "stride": 2},
            {"type": "flatten"},
            {"type": "linear", "out_features": 24},
            {"type": "unflatten", "unflattened_size": [2, 4, 3]},
            {"type": "conv2d", "out_channels": 2, "kernel_size": 3},
        )
    ).rows
    assert (image.height.size, image.width.size) == (9, 7)
    assert (grown.height.size, grown.width.size) == (9, 7)


@pytest.mark.parametrize("size", [[2, 4, 3], [7, 1, 1]])
def test_another_number_of_values_is_refused_with_fixes(size: list[int]) -> None:
    layers: list[Entry] = [{"type": "flatten"}, {"name": "map", "type": "unflatten", "unflattened_size": size}]
    broken = analyse(network(*layers, shape=(30, 1, 1))).broken
    assert broken and "gets 30: " in str(broken.error)
    assert broken.fixes and all(analyse(fix.network).broken is None for fix in broken.fixes)
    assert analyse(network(*layers, shape=(size[0] * size[1], size[2], 1))).broken is None
