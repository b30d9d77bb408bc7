"""The JSON Schema of preset files takes what the reader takes, and refuses what can be seen in one table."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft7Validator

from alexplore.core.settings import setting_fields
from alexplore.network.layers import LAYER_TYPES
from alexplore.presets.library import load_preset, shipped_folder, shipped_names
from alexplore.presets.preset import Preset, PresetError
from alexplore.presets.reader import KEYS, parse_preset
from alexplore.presets.recipe import Recipe
from alexplore.presets.schema import preset_schema
from alexplore.presets.text import preset_text
from tests.support.examples import examples
from tests.support.networks import networks
from tests.support.processes import Alexplore


@cache
def schema() -> dict[str, Any]:
    return preset_schema()


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(schema())


def errors(values: dict[str, Any]) -> list[str]:
    """Return the errors in a preset, with their places."""
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(values)]


def shipped(name: str) -> dict[str, Any]:
    return tomllib.loads((shipped_folder() / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_presets_fit(name: str) -> None:
    assert errors(shipped(name)) == []


@pytest.mark.parametrize("name", shipped_names())
def test_written_presets_fit(name: str) -> None:
    assert errors(tomllib.loads(preset_text(load_preset(name)))) == []


@examples(50)
@given(networks())
def test_any_network_fits(network: Any) -> None:
    assert errors(tomllib.loads(preset_text(Preset("any", network)))) == []


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(schema())


def test_every_declared_key_is_in_it() -> None:
    """With what is said about it, and its default."""
    properties = schema()["properties"]
    assert list(properties) == list(KEYS)
    assert list(properties["training"]["properties"]) == list(setting_fields(Recipe))
    lr = dict(properties["training"]["properties"]["lr"])
    assert lr.pop("description") == "learning rate; a number > 0"
    assert lr == {"type": "number", "exclusiveMinimum": 0, "default": 0.01}
    layers = schema()["definitions"]
    assert list(layers) == list(LAYER_TYPES)
    for name, cls in LAYER_TYPES.items():
        keys = list(layers[name]["properties"])
        assert sorted(keys) == sorted({"name", "type", "inputs", *setting_fields(cls)})
    assert layers["conv2d"]["required"] == ["type", "out_channels", "kernel_size"]
    assert layers["add"]["required"] == ["type", "inputs"]


def example() -> dict[str, Any]:
    return {
        "input": [1, 8, 8],
        "layers": [
            {"name": "conv1", "type": "conv2d", "out_channels": 2, "kernel_size": [3, 1], "padding": [1, 1, 0, 0]},
            {"name": "pool1", "type": "adaptive_max_pool2d", "output_size": ["None", 4]},
            {"name": "sum1", "type": "add", "inputs": ["pool1", "pool1"]},
            {"name": "flatten", "type": "flatten"},
            {"name": "fc", "type": "linear", "out_features": 2, "init": {"std": 0.01}},
        ],
        "training": {"lr": 0.1},
        "published": [{"layer": "conv1", "quantity": "neurons", "value": 1}],
    }


def assign(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return what sets the value at a path of a preset."""

    def change(preset: Any) -> None:
        for key in path[:-1]:
            preset = preset[key]
        preset[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        assign("layer", value=[]),
        assign("title", value=1),
        assign("input", value=[1, 8]),
        assign("input", value=[1, 8, 0]),
        assign("towers", value=0),
        assign("layers", value=[]),
        assign("layers", 0, "type", value="conv3d"),
        assign("layers", 0, value={"name": "conv1"}),
        assign("layers", 0, value={"type": "conv2d", "kernel_size": 3}),
        assign("layers", 0, "filters", value=3),
        assign("layers", 0, "out_channels", value=0),
        assign("layers", 0, "out_channels", value=2**31),
        assign("layers", 0, "out_channels", value=True),
        assign("layers", 0, "kernel_size", value=[3, 3, 3]),
        assign("layers", 0, "padding", value="full"),
        assign("layers", 0, "padding", value=[1, 2, 3]),
        assign("layers", 0, "padding_mode", value="mirror"),
        assign("layers", 0, "bias", value=0),
        assign("layers", 0, "inputs", value=["input", "input"]),
        assign("layers", 0, "name", value="forward"),
        assign("layers", 0, "name", value="class"),
        assign("layers", 0, "name", value="conv-1"),
        assign("layers", 1, "output_size", value=["none", 4]),
        assign("layers", 2, "inputs", value=["pool1"]),
        assign("layers", 2, value={"name": "sum1", "type": "add"}),
        assign("layers", 4, "init", "std", value=0),
        assign("layers", 4, "init", "mean", value=0),
        assign("training", value=[]),
        assign("training", "lr", value=0),
        assign("training", "momentum", value=1.0),
        assign("training", "optimizer", value="sdg"),
        assign("training", "learning_rate", value=0.1),
        assign("published", 0, "value", value=-1),
        assign("published", 0, "quantity", value="top1_error"),
        assign("published", 0, value={"quantity": "neuron", "value": 1}),
        assign("published", 0, value={"quantity": "neurons"}),
    ],
)
def test_what_the_reader_refuses(change: Callable[[dict[str, Any]], None]) -> None:
    values = example()
    assert errors(values) == []
    parse_preset(toml(values), Path("example.toml"))
    broken = copy.deepcopy(values)
    change(broken)
    with pytest.raises(PresetError):
        parse_preset(toml(broken), Path("example.toml"))
    assert errors(broken)


def toml(values: dict[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(values)


def test_command(alexplore: Alexplore) -> None:
    assert json.loads(alexplore("presets", "--schema").stdout) == schema()
