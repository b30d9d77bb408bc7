"""Edits are pure, and every one has an edit that takes it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alexplore.core.settings import SettingError
from alexplore.export import export_preset
from alexplore.export.report import shapes_dict
from alexplore.network.analysis import analyse
from alexplore.network.compare import compare
from alexplore.network.formulas import explain_totals
from alexplore.network.graph import Network, parse_input, read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.activations import ReLU
from alexplore.network.layers.base import Layer
from alexplore.network.layers.merge import Concat
from alexplore.network.layers.names import is_layer_name
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.published import check_published
from alexplore.training.model.build import Model
from tests.support.examples import examples
from tests.support.networks import maps, networks

Edit = Callable[[Network], Network]


def edits(network: Network) -> st.SearchStrategy[tuple[str, Edit]]:
    """Return one edit of any kind, with what it is."""
    kinds: list[st.SearchStrategy[tuple[str, Edit]]] = [
        maps().map(lambda size: (f"with_input{size}", lambda n: n.with_input(*size))),
        st.integers(1, 4).map(lambda towers: (f"with_towers({towers})", lambda n: n.with_towers(towers))),
    ]
    if network.layers:
        at = st.integers(0, len(network.layers) - 1)
        names = st.sampled_from(["input", *(layer.name for layer in network.layers)])
        kinds += [
            st.tuples(at, new_layers(names)).map(lambda p: (f"insert{p}", lambda n: n.insert(*p))),
            at.flatmap(lambda i: between(network, i)),
            at.map(lambda i: (f"remove({i})", lambda n: n.remove(i))),
            at.map(lambda i: (f"duplicate({i})", lambda n: n.duplicate(i))),
            st.tuples(at, at).map(lambda p: (f"move{p}", lambda n: n.move(*p))),
            st.tuples(at, st.sampled_from(["renamed", "relu1", "conv2d2", "1x"])).map(
                lambda p: (f"rename{p}", lambda n: n.rename(*p))
            ),
            at.flatmap(lambda i: st.tuples(st.just(i), changes(network.layers[i].type))).map(
                lambda p: (f"change{p}", lambda n: n.change(*p))
            ),
            st.tuples(at, st.lists(names, min_size=1, max_size=3)).map(
                lambda p: (f"reads{p}", lambda n: n.change(p[0], {"inputs": p[1]}))
            ),
        ]
    return st.one_of(kinds)


def new_layers(names: st.SearchStrategy[str]) -> st.SearchStrategy[Layer]:
    """Return layers that read the one before them, or any one, or several."""
    own = st.sampled_from(["relu", "act", "relu1"])
    return st.one_of(
        own.map(lambda name: ReLU(name=name)),
        st.tuples(own, names).map(lambda p: ReLU(name=p[0], inputs=p[1:])),
        st.lists(names, min_size=2, max_size=3).map(lambda read: Concat(name="concat", inputs=tuple(read))),
    )


def between(network: Network, index: int) -> st.SearchStrategy[tuple[str, Edit]]:
    inputs = st.integers(0, len(network.sources[index]) - 1)
    return inputs.map(lambda i: (f"insert_between({index}, {i})", lambda n: n.insert_between(index, i, ReLU(name="r"))))


def changes(type_: str) -> st.SearchStrategy[dict[str, Any]]:
    one: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "conv2d": st.fixed_dictionaries({"stride": st.integers(1, 3), "padding": st.sampled_from([0, "same", [1, 2]])}),
        "linear": st.fixed_dictionaries({"out_features": st.integers(1, 9)}),
        "dropout": st.fixed_dictionaries({"p": st.floats(0, 1)}),
    }
    return one.get(type_, st.just({}))


def edited(network: Network, data: st.DataObject) -> Network | None:
    """Return the network after an edit, None where that was refused."""
    name, edit = data.draw(edits(network))
    try:
        after = edit(network)
    except SettingError as refused:
        names = [layer.name for layer in network.layers]
        assert any(re.search(rf"\b{one}\d*\b", str(refused)) for one in [*names, "concat", "relu", "act"]), name
        return None
    check_graph(after)
    return after


def check_graph(network: Network) -> None:
    """Each layer has a name of its own, reads layers above it, and is read, the last one apart; spelled shortest."""
    names = [layer.name for layer in network.layers]
    assert len(set(names)) == len(names)
    read = [name for index in range(len(names)) for name in network.source_names(index)]
    assert set(names[:-1]) <= set(read)
    for index, layer in enumerate(network.layers):
        before = ["input", *names[:index]]
        assert set(network.source_names(index)) <= set(before)
        assert layer.inputs != (before[-1],)
    if network.layers:
        assert read_network(network.to_dict()) == network


@examples(100)
@given(networks(), st.data())
def test_an_edit_gives_a_valid_network_or_says_what_it_would_break(network: Network, data: st.DataObject) -> None:
    """And an analysis that builds on the one before is the same as a fresh one."""
    before = analyse(network)
    for _ in range(4):
        network = edited(network, data) or network
        before = analyse(network, before)
        fresh = analyse(network)
        assert before.rows == fresh.rows
        assert before.totals == fresh.totals


@examples(60)
@given(networks(), st.data())
def test_edits_are_pure_and_undo_restores_exactly(network: Network, data: st.DataObject) -> None:
    """Undo is the network before; no later edit can have touched it."""
    history = [(network, network.to_dict(), analyse(network).rows)]
    for _ in range(4):
        after = edited(history[-1][0], data) or network
        history.append((after, after.to_dict(), analyse(after).rows))
    for state, values, rows in reversed(history):
        assert state.to_dict() == values
        assert [row.output for row in analyse(state).rows] == [row.output for row in rows]


@examples(60)
@given(networks(), st.data())
def test_edits_have_inverses(network: Network, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(network.layers) - 1))
    layer, read = network.layers[index], network.sources[index]
    assert network.insert(index, ReLU(name="another")).remove(index) == network
    assert network.insert_between(index, len(read) - 1, ReLU(name="another")).remove(index) == network
    assert network.rename(index, "elsewhere").rename(index, layer.name) == network
    assert network.with_input(1, 2, 3).with_input(*network.input) == network
    assert network.change(index, layer.settings()) == network
    assert network.change(index, {"inputs": list(network.source_names(index))}) == network
    if len(read) == 1:
        assert network.duplicate(index).remove(index + 1) == network
    if network.is_chain:
        assert network.remove(index).insert(index, layer) == network


@examples(60)
@given(networks(), st.data())
def test_a_layer_moves_within_its_branch(network: Network, data: st.DataObject) -> None:
    """It moves exactly where all layers between are one after the other, and moves back."""
    at = st.integers(0, len(network.layers) - 1)
    index, to = data.draw(at), data.draw(at)
    low, high = sorted((index, to))
    one_after_another = index == to or (
        len(network.sources[low]) == 1
        and all(network.sources[i + 1] == (i,) and network.readers[i] == (i + 1,) for i in range(low, high))
    )
    try:
        moved = network.move(index, to)
    except SettingError as refused:
        assert not one_after_another
        assert f"{network.layers[index].name} can't change places with {network.layers[to].name}" in str(refused)
        return
    assert one_after_another
    check_graph(moved)
    assert moved.layers[to].name == network.layers[index].name
    assert moved.source_names(low) == network.source_names(low)
    assert moved.move(to, index) == network


@given(networks(), st.data())
@examples(50)
def test_names_stay_unique(network: Network, data: st.DataObject) -> None:
    for _ in range(4):
        alone = [index for index, read in enumerate(network.sources) if len(read) == 1]
        network = network.duplicate(data.draw(st.sampled_from(alone)))
    check_graph(network)


RESIDUAL = read_network(
    {
        "input": [3, 8, 8],
        "layers": [
            {"name": "stem", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"name": "relu1", "type": "relu"},
            {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"name": "short", "type": "conv2d", "inputs": ["stem"], "out_channels": 4, "kernel_size": 1},
            {"name": "sum", "type": "add", "inputs": ["conv2", "short"]},
            {"name": "relu2", "type": "relu"},
            {"name": "flatten", "type": "flatten"},
            {"name": "fc", "type": "linear", "out_features": 10},
        ],
    }
)
"""A residual block whose shortcut is a projection: branches part after stem and join in sum."""


def reads(network: Network) -> str:
    """Return what each layer reads, those apart that read the layer before them."""
    return " ".join(
        f"{layer.name}({','.join(network.source_names(index))})" if layer.inputs else layer.name
        for index, layer in enumerate(network.layers)
    )


def new(name: str, *inputs: str) -> Layer:
    return ReLU(name=name, inputs=inputs)


EDITS: dict[str, tuple[Edit, str]] = {
    "insert where branches part: both read it": (
        lambda n: n.insert(1, new("a")),
        "stem a conv1 relu1 conv2 short(a) sum(conv2,short) relu2 flatten fc",
    ),
    "insert where the second branch starts: it ends the first": (
        lambda n: n.insert(4, new("a")),
        "stem conv1 relu1 conv2 a short(stem) sum(a,short) relu2 flatten fc",
    ),
    "insert at the end of the second branch": (
        lambda n: n.insert(5, new("a")),
        "stem conv1 relu1 conv2 short(stem) a sum(conv2,a) relu2 flatten fc",
    ),
    "insert behind a join": (
        lambda n: n.insert(6, new("a")),
        "stem conv1 relu1 conv2 short(stem) sum(conv2,short) a relu2 flatten fc",
    ),
    "insert with an input of its own: it takes that one's place below, and not above": (
        lambda n: n.insert(4, new("a", "stem")),
        "stem conv1 relu1 conv2 a(stem) short sum(conv2,short) relu2 flatten fc",
    ),
    "insert a join": (
        lambda n: n.insert(6, Concat(name="c", inputs=("sum", "stem"))),
        "stem conv1 relu1 conv2 short(stem) sum(conv2,short) c(sum,stem) relu2 flatten fc",
    ),
    "insert at the start of a branch": (
        lambda n: n.insert_between(4, 0, new("a")),
        "stem conv1 relu1 conv2 a(stem) short sum(conv2,short) relu2 flatten fc",
    ),
    "insert before the first input of a join": (
        lambda n: n.insert_between(5, 0, new("a")),
        "stem conv1 relu1 conv2 short(stem) a(conv2) sum(a,short) relu2 flatten fc",
    ),
    "insert before the second input of a join": (
        lambda n: n.insert_between(5, 1, new("a")),
        "stem conv1 relu1 conv2 short(stem) a sum(conv2,a) relu2 flatten fc",
    ),
    "remove where branches part": (
        lambda n: n.remove(0),
        "conv1 relu1 conv2 short(input) sum(conv2,short) relu2 flatten fc",
    ),
    "remove before a join": (
        lambda n: n.remove(3),
        "stem conv1 relu1 short(stem) sum(relu1,short) relu2 flatten fc",
    ),
    "remove a branch's only layer": (
        lambda n: n.remove(4),
        "stem conv1 relu1 conv2 sum(conv2,stem) relu2 flatten fc",
    ),
    "remove both branches": (
        lambda n: n.remove(4).remove(3).remove(2).remove(1),
        "stem sum(stem,stem) relu2 flatten fc",
    ),
    "remove a join of one layer": (
        lambda n: n.remove(4).remove(3).remove(2).remove(1).remove(1),
        "stem relu2 flatten fc",
    ),
    "duplicate where branches part": (
        lambda n: n.duplicate(0),
        "stem stem1 conv1 relu1 conv2 short(stem1) sum(conv2,short) relu2 flatten fc",
    ),
    "duplicate before a join": (
        lambda n: n.duplicate(4),
        "stem conv1 relu1 conv2 short(stem) short1 sum(conv2,short1) relu2 flatten fc",
    ),
    "move down within a branch": (
        lambda n: n.move(1, 3),
        "stem relu1 conv2 conv1 short(stem) sum(conv1,short) relu2 flatten fc",
    ),
    "move up within a branch": (
        lambda n: n.move(3, 1),
        "stem conv2 conv1 relu1 short(stem) sum(relu1,short) relu2 flatten fc",
    ),
    "move the first layer of a branch": (
        lambda n: n.duplicate(4).move(4, 5),
        "stem conv1 relu1 conv2 short1(stem) short sum(conv2,short) relu2 flatten fc",
    ),
    "rename": (
        lambda n: n.rename(0, "root"),
        "root conv1 relu1 conv2 short(root) sum(conv2,short) relu2 flatten fc",
    ),
    "join in another order, and one more": (
        lambda n: n.change(5, {"inputs": ["short", "conv2", "stem"]}),
        "stem conv1 relu1 conv2 short(stem) sum(short,conv2,stem) relu2 flatten fc",
    ),
    "read the layer above": (
        lambda n: n.change(4, {"inputs": ["conv2"]}),
        "stem conv1 relu1 conv2 short sum(conv2,short) relu2 flatten fc",
    ),
    "read another layer": (
        lambda n: n.change(4, {"inputs": ["relu1"]}),
        "stem conv1 relu1 conv2 short(relu1) sum(conv2,short) relu2 flatten fc",
    ),
    "read what is read without inputs": (
        lambda n: n.change(4, {"inputs": None}),
        "stem conv1 relu1 conv2 short sum(conv2,short) relu2 flatten fc",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_at_branches_and_joins(name: str) -> None:
    edit, expected = EDITS[name]
    after = edit(RESIDUAL)
    check_graph(after)
    assert reads(after) == expected
    assert reads(RESIDUAL) == "stem conv1 relu1 conv2 short(stem) sum(conv2,short) relu2 flatten fc"


REFUSED: tuple[tuple[Edit, str], ...] = (
    (
        lambda n: n.remove(5),
        "sum can't be removed: it joins conv2 and short. Remove all but one of these branches first",
    ),
    (
        lambda n: n.duplicate(5),
        "sum can't be duplicated: it joins conv2 and short, and its copy would have nothing to join",
    ),
    (
        lambda n: n.move(0, 2),
        "stem can't change places with relu1: branches part or join between them, and a layer moves only within its "
        "branch",
    ),
    (lambda n: n.move(3, 4), "conv2 can't change places with short"),
    (lambda n: n.move(6, 5), "relu2 can't change places with sum"),
    (lambda n: n.rename(3, "sum"), "layer sum: the name is used twice; every layer needs its own"),
    (
        lambda n: n.change(5, {"inputs": ["conv2", "stem"]}),
        "layer short: no layer reads it; add it to the inputs of a later one, or remove it",
    ),
    (
        lambda n: n.change(5, {"inputs": ["conv2"]}),
        'layer sum (add): inputs: found ["conv2"], allowed: a list of 2 or more layer names',
    ),
    (
        lambda n: n.change(5, {"inputs": ["conv2", "fc"]}),
        "layer sum (add): inputs: fc does not come before sum; allowed: a layer above it, or input",
    ),
    (
        lambda n: n.change(5, {"inputs": ["conv2", "shor"]}),
        'layer sum (add): inputs: there is no layer "shor"; did you mean short',
    ),
    (
        lambda n: n.change(6, {"inputs": ["sum", "stem"]}),
        'layer relu2 (relu): inputs: found ["sum", "stem"], allowed: a list of 1 layer name',
    ),
    (
        lambda n: n.change(4, {"inputs": ["short"]}),
        "layer short (conv2d): inputs: short does not come before short",
    ),
    (lambda n: n.insert(4, new("a", "sum")), "layer a (relu): inputs: sum does not come before a"),
    (lambda n: n.insert(9, new("a", "stem")), "layer fc: no layer reads it"),
    (
        lambda n: n.insert(2, Concat(name="c", inputs=())),
        "layer c (concat): inputs: name the layers that it reads",
    ),
    (
        lambda n: n.insert_between(4, 0, Concat(name="c", inputs=("a", "b"))),
        "layer c (concat): inputs: found 1, allowed: 2 or more",
    ),
    (
        lambda n: n.replace(6, new("relu2", "sum", "stem")),
        "layer relu2 (relu): inputs: found 2, allowed: at most 1",
    ),
)


@pytest.mark.parametrize(("edit", "message"), REFUSED)
def test_what_would_break_the_graph_is_refused(edit: Edit, message: str) -> None:
    with pytest.raises(SettingError) as refused:
        edit(RESIDUAL)
    assert message in str(refused.value)


def test_an_edit_recalculates_only_the_rows_that_follow_from_it() -> None:
    """The rows of the other branch, and those after a join that gives the same as before, are the same objects."""
    before = analyse(RESIDUAL)

    def recalculated(settings: dict[str, Any]) -> list[str]:
        rows = analyse(RESIDUAL.change(4, settings), before).rows
        return [row.layer.name for row, old in zip(rows, before.rows, strict=True) if row is not old]

    assert recalculated({"bias": False}) == ["short"]
    assert recalculated({"kernel_size": 3, "padding": 1}) == ["short", "sum"]  # conv1 and conv2 see more than it does
    assert recalculated({"kernel_size": 7, "padding": 3}) == ["short", "sum", "relu2", "flatten", "fc"]


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
    layers = [
        {"name": "conv1", "type": "conv2d", "out_channels": 2, "kernel_size": 3, "init": {"std": 0.01}},
        {"name": "norm1", "type": "batch_norm", "trainable": False},
    ]
    network = read_network({"input": [1, 3, 3], "layers": layers})
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_preset(Preset("any", network), "pytorch"), "exported.py", "exec"), names)
    attributes = {*dir(nn.Sequential()), *dir(Model()), *vars(Model()), *dir(names["Any"]())} - {"conv1", "norm1"}
    assert "reset_parameters" in attributes
    taken = {name for name in attributes if not name.startswith("_")}
    assert not [name for name in taken if is_layer_name(name)]
    assert not any(is_layer_name(name) for name in ("", "1a", "a b", "class", "_x", "é", "a.b"))
    assert all(is_layer_name(name) for name in ("conv1", "fc6", "norm2map", "A", *LAYER_TYPES))
