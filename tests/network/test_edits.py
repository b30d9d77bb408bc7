"""Edits are pure, and every one has an edit that takes it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.core.settings import SettingError
from alexplore.export import export_preset
from alexplore.export.report import shapes_dict
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.compare import compare
from alexplore.network.formulas import explain_totals
from alexplore.network.graph import Network, parse_input, read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.activations import ReLU
from alexplore.network.layers.names import is_layer_name
from alexplore.network.row import Row
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.published import check_published
from tests.support.examples import examples
from tests.support.networks import maps, networks


@st.composite
def edits(draw: st.DrawFn, network: Network) -> Network:
    """The network after one edit of any kind."""
    kinds: list[Callable[[Network], Network]] = [
        lambda n: n.with_input(*draw(maps())),
        lambda n: n.with_towers(draw(st.integers(1, 4))),
        lambda n: n.insert(0, ReLU(name=draw(st.sampled_from(["relu", "act", "x9"])))),
    ]
    if network.layers:
        at = st.integers(0, len(network.layers) - 1)
        index = draw(at)
        kinds += [
            lambda n: n.remove(index),
            lambda n: n.duplicate(index),
            lambda n: n.move(index, draw(at)),
            lambda n: n.rename(index, n.free_name("renamed")),
            lambda n: n.change(index, draw(changes(n.layers[index].type))),
        ]
    return draw(st.sampled_from(kinds))(network)


def changes(type_: str) -> st.SearchStrategy[dict[str, Any]]:
    one: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "conv2d": st.fixed_dictionaries({"stride": st.integers(1, 3), "padding": st.sampled_from([0, "same", [1, 2]])}),
        "linear": st.fixed_dictionaries({"out_features": st.integers(1, 9)}),
        "dropout": st.fixed_dictionaries({"p": st.floats(0, 1)}),
    }
    return one.get(type_, st.just({}))


@examples(150)
@given(networks(), st.data())
def test_an_analysis_that_builds_on_the_one_before_is_the_same(network: Network, data: st.DataObject) -> None:
    before = analyse(network)
    for _ in range(3):
        try:
            network = data.draw(edits(network))
        except SettingError:
            continue
        before = analyse(network, before)
        assert numbers(before) == numbers(analyse(network))


def numbers(analysis: Analysis) -> list[Row]:
    """The rows."""
    return list(analysis.rows)


@examples(150)
@given(networks(), st.data())
def test_edits_are_pure_and_undo_restores_exactly(network: Network, data: st.DataObject) -> None:
    """Undo is the network before; no later edit can have touched it."""
    history = [(network, network.to_dict(), analyse(network).rows)]
    for _ in range(data.draw(st.integers(1, 6))):
        edited = data.draw(edits(history[-1][0]))
        history.append((edited, edited.to_dict(), analyse(edited).rows))
    for state, values, rows in reversed(history):
        assert state.to_dict() == values
        assert [row.output for row in analyse(state).rows] == [row.output for row in rows]
        if state.layers:
            assert read_network(values) == state


@examples(80)
@given(networks(), st.data())
def test_edits_have_inverses(network: Network, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(network.layers) - 1))
    other = data.draw(st.integers(0, len(network.layers) - 1))
    layer = network.layers[index]
    assert network.insert(index, ReLU(name="another")).remove(index) == network
    assert network.duplicate(index).remove(index + 1) == network
    assert network.move(index, other).move(other, index) == network
    assert network.move(index, other).layers[other] == layer
    assert network.remove(index).insert(index, layer) == network
    assert network.rename(index, "elsewhere").rename(index, layer.name) == network
    assert network.with_input(1, 2, 3).with_input(*network.input) == network
    assert network.change(index, layer.settings()) == network


@given(networks(), st.data())
@examples(50)
def test_names_stay_unique(network: Network, data: st.DataObject) -> None:
    for _ in range(4):
        network = network.duplicate(data.draw(st.integers(0, len(network.layers) - 1)))
    names = [layer.name for layer in network.layers]
    assert len(set(names)) == len(names)


def test_a_network_without_layers_has_numbers_too() -> None:
    """As it is while someone builds one from nothing."""
    preset = load_preset("torchvision")
    empty = Network((3, 4, 4), ())
    analysis = analyse(empty)
    assert (analysis.rows, analysis.broken, analysis.totals.params, analysis.memory(8).total) == ((), None, 0, 0)
    assert all(formula.value == 0 for formula in explain_totals(analysis, 8))
    assert compare(empty, empty).pairs == ()
    assert {checked.confirmed for checked in check_published(preset.published, analysis)} == {False, None}
    assert shapes_dict(replace(preset, network=empty), analysis)["layers"] == []


def test_classes() -> None:
    network = load_preset("paper").network
    assert network.classes == 1000
    ten = network.with_classes(10)
    assert (ten.classes, analyse(ten).totals.params) == (10, 60_965_224 - 990 * 4097)
    none = Network((1, 2, 2), (ReLU(name="relu"),))
    assert none.classes is None
    with pytest.raises(SettingError, match="no linear layer or convolution"):
        none.with_classes(3)


def test_none_sets_a_setting_back() -> None:
    network = load_preset("paper").network
    changed = network.change(0, {"padding": 3, "stride": None})
    assert changed.layers[0].settings() | {"padding": 0, "stride": 4} == network.layers[0].settings()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda n: n.rename(0, "conv2"), "layer conv2: the name is used twice; every layer needs its own"),
        (lambda n: n.rename(0, "1x"), 'layer conv1: name: found "1x", allowed: letters, digits and _'),
        (lambda n: n.rename(0, "forward"), 'name: found "forward"'),
        (lambda n: n.change(0, {"strid": 1}), 'layer conv1 (conv2d): unknown key "strid"; did you mean stride?'),
        (lambda n: n.change(0, {"stride": 0}), "layer conv1 (conv2d): stride: found 0, allowed: an integer ≥ 1 or"),
        (lambda n: n.change(0, {"out_channels": None}), "layer conv1 (conv2d): out_channels is missing"),
        (lambda n: n.with_input(0, 1, 1), "input: found [0, 1, 1], allowed: [channels, height, width]"),
        (lambda n: n.with_towers(0), "towers: found 0, allowed: an integer ≥ 1 and ≤ 64"),
        (lambda n: n.index("conv9"), "no layer 'conv9'; did you mean conv"),
    ],
)
def test_refused_edits(edit: Any, message: str) -> None:
    network = load_preset("paper").network
    with pytest.raises(SettingError) as refused:
        edit(network)
    assert message in str(refused.value)
    assert network == load_preset("paper").network


@pytest.mark.parametrize("text", ["3x227x227", "3×227×227", " 3X227x227 ", "3,227,227"])
def test_inputs_as_people_type_them(text: str) -> None:
    assert parse_input(text) == (3, 227, 227)


@pytest.mark.parametrize(
    "text", ["", "3x227", "3x227x227x1", "axbxc", "3x-1x2", "3x0x2", "3.5x2x2", "9" * 5000 + "x1x1"]
)
def test_inputs_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match="CHANNELSxHEIGHTxWIDTH"):
        parse_input(text)


def test_layer_names_are_free_in_a_module() -> None:
    """A layer becomes an attribute of an `nn.Sequential`, here and in exported code."""
    from torch import nn

    layers = [
        {"name": "conv1", "type": "conv2d", "out_channels": 2, "kernel_size": 3, "init": {"std": 0.01}},
        {"name": "norm1", "type": "batch_norm", "trainable": False},
    ]
    network = read_network({"input": [1, 3, 3], "layers": layers})
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_preset(Preset("any", network), "pytorch"), "exported.py", "exec"), names)
    attributes = {*dir(nn.Sequential()), *dir(names["Any"]())} - {"conv1", "norm1"}
    assert "reset_parameters" in attributes
    taken = {name for name in attributes if not name.startswith("_")}
    assert not [name for name in taken if is_layer_name(name)]
    assert not any(is_layer_name(name) for name in ("", "1a", "a b", "class", "_x", "é", "a.b"))
    assert all(is_layer_name(name) for name in ("conv1", "fc6", "norm2map", "A", *LAYER_TYPES))
