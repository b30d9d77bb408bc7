"""Networks side by side."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from alexplore.network.analysis import analyse
from alexplore.network.compare import Comparison, Pair, compare
from alexplore.network.graph import Network, read_network
from alexplore.network.quantities import BY_KEY
from alexplore.presets.library import load_preset
from tests.support.examples import examples
from tests.support.networks import networks


def compared(a: str, b: str) -> Comparison:
    return compare(load_preset(a).network, load_preset(b).network)


def beside(comparison: Comparison) -> dict[str, str]:
    """Which layer stands beside which, those alone beside a dash."""
    return {
        (pair.a.layer.name if pair.a else "-" + str(pair.b and pair.b.layer.name)): (
            pair.b.layer.name if pair.b else "-"
        )
        for pair in comparison.pairs
    }


def test_paper_and_torchvision() -> None:
    comparison = compared("paper", "torchvision")
    aligned = beside(comparison)
    for name in (
        "conv1",
        "relu1",
        "pool1",
        "conv2",
        "conv3",
        "conv4",
        "conv5",
        "pool5",
        "flatten",
        "fc6",
        "fc7",
        "fc8",
    ):
        assert aligned[name] == name
    assert (aligned["norm1"], aligned["norm2"], aligned["-avgpool"]) == ("-", "-", "avgpool")
    conv1 = comparison.pairs[0]
    assert conv1.kind == "changed"
    assert conv1.settings["out_channels"] == (96, 64)
    assert conv1.settings["padding"] == (0, 2)
    assert "kernel_size" not in conv1.settings
    assert conv1.numbers["output"] == ((96, 55, 55), (64, 55, 55))
    assert conv1.numbers["params"] == (34_944, 23_296)
    assert "receptive_field" not in conv1.numbers
    assert comparison.totals["params"] == (60_965_224, 61_100_840)
    assert comparison.input == ((3, 227, 227), (3, 224, 224))


def test_layers_that_only_one_network_has() -> None:
    comparison = compared("one-gpu", "one-gpu-sequential")
    alone = [(pair.kind, pair.a and pair.a.layer.name) for pair in comparison.pairs if pair.kind != "same"]
    assert alone == [("only a", "drop6"), ("only a", "drop7")]


def test_layers_of_one_role_stand_together() -> None:
    """LeNet's sigmoids beside ReLUs, its average pools beside max pools."""
    aligned = beside(compared("lenet", "fmnist"))
    assert aligned["sigmoid1"] == "relu1"
    assert aligned["pool1"] == "pool1"
    assert aligned["fc5"] == "fc8"
    pairs = compared("lenet", "fmnist").pairs
    assert next(pair for pair in pairs if pair.a and pair.a.layer.name == "sigmoid1").kind == "changed"


def test_the_same_type_goes_before_the_same_role() -> None:
    def stack(*types: str) -> Network:
        layers = [{"name": f"{type_}{number}", "type": type_} for number, type_ in enumerate(types)]
        return read_network({"input": [1, 4, 4], "layers": layers})

    pairs = compare(stack("relu"), stack("tanh", "relu", "sigmoid")).pairs
    assert [(pair.a and pair.a.layer.type, pair.b and pair.b.layer.type) for pair in pairs] == [
        (None, "tanh"),
        ("relu", "relu"),
        (None, "sigmoid"),
    ]


def test_what_follows_from_an_earlier_change() -> None:
    network = load_preset("paper").network
    comparison = compare(network, network.change(0, {"stride": 3}))
    kinds = [pair.kind for pair in comparison.pairs]
    assert kinds[:3] == ["changed", "follows", "follows"]
    assert comparison.pairs[0].settings == {"stride": (4, 3)}
    assert kinds[-1] == "follows" and comparison.pairs[-1].numbers.keys() == {"receptive_field"}


def test_settings_that_mean_the_same() -> None:
    network = load_preset("lenet").network
    said = network.change(3, {"padding": "valid", "kernel_size": [5, 5]}).change(2, {"stride": None})
    assert {pair.kind for pair in compare(network, said).pairs} == {"same"}


@examples(60)
@given(networks(), networks())
def test_every_layer_appears_once_in_order(a: Network, b: Network) -> None:
    comparison = compare(a, b)
    assert [pair.a.layer for pair in comparison.pairs if pair.a] == list(a.layers)
    assert [pair.b.layer for pair in comparison.pairs if pair.b] == list(b.layers)
    assert all(pair.a or pair.b for pair in comparison.pairs)
    json.dumps(comparison.to_dict())


@examples(60)
@given(networks(), st.data())
def test_a_removed_layer_alone_has_no_other_beside_it(network: Network, data: st.DataObject) -> None:
    assert {pair.kind for pair in compare(network, network).pairs} == {"same"}
    alone = [index for index, read in enumerate(network.sources) if len(set(read)) == 1]
    index = data.draw(st.sampled_from(alone))
    pairs = compare(network, network.remove(index)).pairs
    assert [pair.a.layer.name for pair in pairs if pair.a and pair.b is None] == [network.layers[index].name]


def test_json() -> None:
    values = json.loads(json.dumps(compared("paper", "torchvision").to_dict()))
    assert list(values) == ["input", "towers", "layers", "totals"]
    assert values["towers"] == [2, 1]
    assert values["totals"]["params"] == {"a": 60_965_224, "b": 61_100_840, "difference": 135_616}
    conv1 = values["layers"][0]
    assert (conv1["kind"], conv1["a"]["name"], conv1["b"]["output"]) == ("changed", "conv1", [64, 55, 55])
    assert conv1["settings"]["out_channels"] == [96, 64]


def test_the_difference_to_a_layer_that_one_network_lacks() -> None:
    """It counts as none where layers add up to a total, and is unknown where they don't."""
    row = analyse(load_preset("paper").network).row("conv1")
    assert Pair(row, None).difference(BY_KEY["params"]) == -(11 * 11 * 3 + 1) * 96
    assert Pair(None, row).difference(BY_KEY["params"]) == (11 * 11 * 3 + 1) * 96
    assert Pair(row, None).difference(BY_KEY["receptive_field"]) is None
    assert Pair(row, row).difference(BY_KEY["receptive_field"]) == 0
