"""Exported JSON and Mermaid."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from alexplore.export import FORMATS, export_preset
from alexplore.export.report import shapes_dict
from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.recipe import read_recipe


@pytest.mark.parametrize("name", shipped_names())
def test_json_holds_the_preset_and_its_numbers(name: str) -> None:
    preset = load_preset(name)
    values = json.loads(export_preset(preset, "json"))
    assert (values["preset"], values["title"], values["source"]) == (name, preset.title, preset.source)
    assert read_network(values) == preset.network
    assert read_recipe(values["training"]) == preset.recipe
    shapes = shapes_dict(preset, analyse(preset.network))
    assert values["analysis"] == {key: shapes[key] for key in ("batch", "layers", "totals")}
    assert len(values["published"]) == len(preset.published)


def test_json_marks_published_numbers() -> None:
    published = json.loads(export_preset(load_preset("torchvision"), "json"))["published"]
    flops = next(one for one in published if one["quantity"] == "flops")
    assert (flops["confirmed"], flops["ours"]) == (False, 1_428_376_960)


def test_mermaid_of_one_tower() -> None:
    preset = load_preset("lenet")
    text = export_preset(preset, "mermaid")
    assert text.startswith("flowchart TD\n") and text.endswith("\n")
    for row in analyse(preset.network).rows:
        shape = "×".join(map(str, row.output or ()))
        assert re.search(rf'^    layer{row.index}\["<b>{row.layer.name}</b> .*{shape}"\]$', text, re.MULTILINE)
    arrows = re.findall(r"(\w+) --> (\w+)", text)
    assert arrows == [
        ("input" if i == 1 else f"layer{i - 1}", f"layer{i}") for i in range(1, len(preset.network.layers) + 1)
    ]


def test_mermaid_of_two_towers_exchanges_where_the_paper_does() -> None:
    preset = load_preset("paper")
    text = export_preset(preset, "mermaid")
    crossing = {int(layer) for layer in re.findall(r"-\.-> layer(\d+)_", text)}
    names = {preset.network.layers[index - 1].name for index in crossing}
    assert names == {"conv3", "fc6", "fc7", "fc8"}
    assert '"<b>conv1</b> conv2d<br/>96 · 11×11 / 4<br/>48×55×55"' in text


def test_mermaid_of_a_broken_network_says_what_is_wrong() -> None:
    preset = load_preset("lenet")
    broken = replace(preset, network=preset.network.change(7, {"in_features": 9}), title='"<x>"')
    text = export_preset(broken, "mermaid")
    assert "✗ fc3 expects 9 inputs, gets 400" in text
    assert '["&quot;&lt;x>&quot;<br/>1×28×28"]' in text


def test_every_format_has_a_suffix() -> None:
    assert len({form.ending for form in FORMATS.values()}) == len(FORMATS)
