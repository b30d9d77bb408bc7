"""Any number of networks side by side: no layer is lost, and each network is compared with the first as two are."""

from __future__ import annotations

import itertools

import pytest

from alexplore.network.compare import compare
from alexplore.network.compare_many import compare_many
from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset

NAMES = ("paper", "one-gpu", "torchvision", "lenet")


@pytest.mark.parametrize("names", itertools.permutations(NAMES, 3))
def test_every_layer_stands_once_and_in_order_beside_the_one_it_is_compared_with(names: tuple[str, ...]) -> None:
    networks = [load_preset(name).network for name in names]
    comparison = compare_many(networks)
    for number, network in enumerate(networks):
        column = [one.rows[number] for one in comparison.layers]
        assert [row.layer for row in column if row is not None] == list(network.layers)
    for number, network in enumerate(networks[1:], start=1):
        two = compare(networks[0], network)
        expected = [pair for pair in two.pairs if pair.a is not None and pair.b is not None]
        found = [one.pairs[number] for one in comparison.layers if one.rows[0] and one.rows[number]]
        assert found == expected
        assert {key: (values[0], values[number]) for key, values in comparison.totals.items()} == two.totals


def layers(*names: str) -> Network:
    types: dict[str, dict[str, object]] = {
        "conv": {"type": "conv2d", "out_channels": 4, "kernel_size": 1},
        "relu": {"type": "relu"},
    }
    entries = [{"name": name, **types[name.rstrip("0123456789")]} for name in names]
    return read_network({"input": [4, 8, 8], "layers": entries})


def test_what_the_first_network_lacks_shares_a_row_where_others_have_it_alike() -> None:
    comparison = compare_many(
        [
            layers("conv1"),
            layers("conv1", "relu1", "conv2"),
            layers("relu0", "conv1", "conv2"),
            layers("conv1", "relu1"),
        ]
    )
    rows = [[row.layer.name if row else None for row in one.rows] for one in comparison.layers]
    assert rows == [
        [None, None, "relu0", None],
        ["conv1", "conv1", "conv1", "conv1"],
        [None, "relu1", None, "relu1"],
        [None, "conv2", "conv2", None],
    ]
    assert [one.kind for one in comparison.layers] == ["partial", "same", "partial", "partial"]


def test_settings_that_differ_have_a_value_of_each_network() -> None:
    base = layers("conv1", "relu1", "conv2")
    wide, other = base.change(0, {"out_channels": 8}), base.change(2, {"stride": 2}).remove(1)
    comparison = compare_many([base, wide, other, base])
    assert [one.kind for one in comparison.layers] == ["changed", "partial", "changed"]
    assert comparison.layers[0].settings == {"out_channels": (4, 8, 4, 4)}
    assert comparison.layers[2].settings == {"stride": (1, 1, 2, 1)}
    printed = comparison.to_dict()
    assert printed["layers"][2]["settings"] == {"stride": [1, 1, 2, 1]}
    assert printed["layers"][1]["layers"][2] is None
    assert printed["totals"]["params"] == [40, 76, 40, 40]
