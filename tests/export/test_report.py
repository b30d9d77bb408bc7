"""The JSON that is relied on from outside, and the tables."""

from __future__ import annotations

import csv
import json

import pytest

from alexplore.export import report
from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe

LAYER_KEYS = [
    "index", "name", "type", "inputs", "settings", "output", "params", "trainable_params", "macs", "connections",
    "neurons", "activation_bytes", "receptive_field", "jump", "exchange_bytes", "error",
]  # fmt: skip
TOTAL_KEYS = [
    "params", "trainable_params", "macs", "neurons", "connections", "weight_bytes", "activation_bytes",
    "training_bytes", "partial",
]  # fmt: skip


def printed(preset: Preset, batch: int = 1) -> dict[str, object]:
    value = json.loads(report.to_json(preset, analyse(preset.network), batch))
    assert isinstance(value, dict)
    return value


def test_the_object_of_the_contract() -> None:
    shapes = printed(load_preset("paper"))
    assert list(shapes) == ["preset", "input", "batch", "layers", "totals"]
    assert (shapes["preset"], shapes["input"], shapes["batch"]) == ("paper", [3, 227, 227], 1)
    layers, totals = shapes["layers"], shapes["totals"]
    assert isinstance(layers, list) and isinstance(totals, dict)
    assert all(list(layer) == LAYER_KEYS for layer in layers)
    assert set(totals) == set(TOTAL_KEYS)
    assert [layer["inputs"] for layer in layers[:2]] == [["input"], ["conv1"]]
    settings = layers[0].pop("settings")
    assert settings == {
        "out_channels": 96, "kernel_size": 11, "stride": 4, "padding": 0, "padding_mode": "zeros",
        "dilation": 1, "groups": 1, "bias": True, "init": {"std": 0.01, "bias": 0.0}, "trainable": True,
    }  # fmt: skip
    assert layers[0] == {
        "index": 1, "name": "conv1", "type": "conv2d", "inputs": ["input"], "output": [96, 55, 55], "params": 34944,
        "trainable_params": 34944, "macs": 105415200, "connections": 105705600, "neurons": 290400,
        "activation_bytes": 4 * 290400, "receptive_field": 11, "jump": 4, "exchange_bytes": 0, "error": None,
    }  # fmt: skip
    assert layers[1]["neurons"] == 0
    assert (totals["params"], totals["macs"], totals["neurons"]) == (60965224, 724406816, 659272)
    assert totals["weight_bytes"] == 4 * 60965224
    assert totals.pop("partial") is False
    assert all(type(value) is int for value in totals.values())


def test_batch_scales_activations_and_training_alone() -> None:
    preset = load_preset("keras-bn")
    one, many = printed(preset), printed(preset, 128)
    for before, after in zip(one["layers"], many["layers"], strict=True):  # type: ignore[call-overload]
        assert after["activation_bytes"] == 128 * before["activation_bytes"]
        assert {**after, "activation_bytes": 0} == {**before, "activation_bytes": 0}
    before, after = one["totals"], many["totals"]
    assert isinstance(before, dict) and isinstance(after, dict)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"activation_bytes", "training_bytes"}
    assert after["activation_bytes"] == 128 * before["activation_bytes"]


def test_training_bytes_follow_the_recipe() -> None:
    preset = load_preset("lenet")
    bytes_ = {}
    for optimizer in ("sgd", "adam"):
        recipe = Recipe(optimizer=optimizer, momentum=0.0)
        shapes = printed(Preset("lenet", preset.network, recipe))
        bytes_[optimizer] = shapes["totals"]["training_bytes"]  # type: ignore[index]
    assert bytes_["adam"] - bytes_["sgd"] == 2 * 4 * 61706


def test_a_recipe_of_16_bits_keeps_half_an_activation() -> None:
    preset = load_preset("lenet")  # its average pools keep no indices
    images = {}
    for precision in ("auto", "fp32", "bf16"):
        trained = Preset("lenet", preset.network, Recipe(precision=precision))
        one, nine = (printed(trained, batch)["totals"]["training_bytes"] for batch in (1, 9))  # type: ignore[index]
        images[precision] = nine - one
    assert images["auto"] == images["fp32"] == 2 * images["bf16"]


def test_what_was_not_computed_is_null() -> None:
    preset = load_preset("paper")
    network = preset.network.change(preset.network.index("fc6"), {"in_features": 9000})
    broken = Preset("paper", network, preset.recipe)
    layers = printed(broken)["layers"]
    assert isinstance(layers, list)
    fc6, relu6 = layers[16], layers[17]
    assert fc6["error"].startswith("fc6 expects 9000 inputs, gets 9216")
    assert relu6["error"] is None
    for layer in (fc6, relu6):
        assert all(layer[key] is None for key in LAYER_KEYS[5:-1])
        assert layer["name"] and layer["settings"] is not None
    assert layers[15]["output"] == [9216]


def test_uneven_receptive_fields_are_pairs() -> None:
    preset = load_preset("lenet")
    network = preset.network.change(0, {"kernel_size": [3, 5], "stride": [1, 2]})
    layer = printed(Preset("lenet", network))["layers"][0]  # type: ignore[index]
    assert (layer["receptive_field"], layer["jump"]) == ([3, 5], [1, 2])


@pytest.mark.parametrize("batch", [1, 4])
def test_csv(batch: int) -> None:
    preset = load_preset("torchvision")
    rows = list(csv.DictReader(report.to_csv(analyse(preset.network), batch).splitlines()))
    assert list(rows[0]) == LAYER_KEYS
    assert (rows[0]["output"], rows[0]["params"], rows[0]["error"]) == ("64x55x55", "23296", "")
    assert rows[0]["settings"] == "out_channels = 64, kernel_size = 11, stride = 4, padding = 2"
    assert sum(int(row["params"]) for row in rows) == 61_100_840
    assert int(rows[0]["activation_bytes"]) == batch * 4 * 64 * 55 * 55


def test_markdown() -> None:
    preset = load_preset("torchvision")
    network = preset.network.change(preset.network.index("fc7"), {"in_features": 5})
    lines = report.to_markdown(analyse(network)).splitlines()
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert lines[2].startswith("| 1 | conv1 | conv2d | out_channels = 64, kernel_size = 11")
    assert "| 64×55×55 | 23,296 | 70,276,800 | 11 |" in lines[2]
    assert "fc7 expects 5 inputs, gets 4096" in lines[-4]
    assert "| – | – |" in lines[-2]
