"""An edit session without the app: begin, preview, commit, cancel, undo, redo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from alexplore.core.settings import setting_fields
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.network.layers import EDITABLE_TYPES
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.writer import save_preset
from alexplore.tui.edit_session import EditSession
from alexplore.tui.edits import input_edit, layer_edit, new_layer_edit

PAPER_PARAMS = 60_965_224


def published_layers(preset: Preset) -> list[str | None]:
    return [one.layer for one in preset.published]


def begin_layer(session: EditSession, name: str) -> dict[str, Any]:
    """Begin the edit of a layer; return what its form holds."""
    return session.begin(layer_edit(session.network, session.network.index(name))).values


def error(session: EditSession) -> str:
    """What the form of the edit in progress says is wrong."""
    assert session.editing is not None
    return session.editing.form.error


def typed(values: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {**values, **changes}


def test_a_preview_shows_the_candidate_and_leaves_the_network() -> None:
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "conv1")
    assert session.preview(typed(values, out_channels=64))
    assert session.shown.rows[0].params == (11 * 11 * 3 + 1) * 64
    assert session.baseline is session.analysis
    assert session.analysis.totals.params == PAPER_PARAMS
    assert not session.modified


def test_a_preview_of_the_same_values_is_nothing_new() -> None:
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "conv1")
    assert not session.preview(values)
    assert session.preview(typed(values, stride=2))
    assert not session.preview(typed(values, stride=2))


@pytest.mark.parametrize(("stride", "found"), [("abc", '"abc"'), (None, "nothing"), (0, "0"), ([1, 2, 3], "[1, 2, 3]")])
def test_values_that_can_not_be_read_preview_the_network_as_it_was(stride: object, found: str) -> None:
    """Also after another value could be read: stride 1 would have ten times the parameters."""
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "conv1")
    session.preview(typed(values, stride=1))
    assert session.shown.totals.params > 10 * PAPER_PARAMS
    assert session.preview(typed(values, stride=stride))
    assert (session.unreadable, session.shown.totals.params) == (True, PAPER_PARAMS)
    assert f"stride: found {found}, allowed: an integer ≥ 1" in error(session)
    assert not session.commit()
    session.preview(values)
    assert not session.unreadable
    assert not error(session)


def test_an_empty_optional_setting_is_not_set() -> None:
    """A pool without a stride moves by its window: 55 pixels in windows of 3 are 18."""
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "pool1")
    assert values["stride"] == 2
    session.preview(typed(values, stride=None))
    assert not session.unreadable
    assert session.commit()
    pool = session.analysis.rows[session.network.index("pool1")]
    assert (pool.layer.settings(defaults=False), pool.output) == ({"kernel_size": 3}, (96, 18, 18))


def test_a_broken_candidate_is_shown_with_its_reason_and_can_be_committed() -> None:
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "fc6")
    session.preview(typed(values, in_features=6400))
    assert "fc6 expects 6400 inputs, gets 9216" in error(session)
    assert session.commit()
    assert session.analysis.broken is not None


def test_a_commit_is_one_step_to_undo() -> None:
    session = EditSession(load_preset("paper"))
    opened = session.network
    session.preview(typed(begin_layer(session, "conv1"), out_channels=32))
    session.preview(typed(begin_layer(session, "conv1"), out_channels=64))
    assert session.commit()
    edited = session.network
    assert session.editing is None
    assert session.modified
    assert session.undo()
    assert session.network == opened
    assert session.analysis == analyse(opened)
    assert not session.undo()
    assert session.redo()
    assert session.network == edited
    assert not session.redo()


def test_a_commit_without_a_change_is_no_step() -> None:
    session = EditSession(load_preset("paper"))
    begin_layer(session, "conv1")
    assert session.commit()
    assert not session.undo()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda net: net.change(3, {"padding": 1}), "pool1: padding 0 → 1"),
        (lambda net: net.change(0, {"bias": False, "stride": 2}), "conv1: stride 4 → 2 · conv1: bias true → false"),
        (lambda net: net.change(3, {"stride": None}), "pool1: stride 2 → not set"),
        (lambda net: net.remove(1), "relu1 removed"),
        (lambda net: net.duplicate(1), "relu8 added"),
        (lambda net: net.move(1, 2), "relu1 moved from 2 to 3"),
        (lambda net: net.move(2, 0), "norm1 moved from 3 to 1"),
        (lambda net: net.rename(0, "stem"), "conv1 renamed to stem"),
        (lambda net: net.with_input(3, 259, 259), "input 3×227×227 → 3×259×259"),
        (lambda net: net.with_towers(1), "towers 2 → 1"),
    ],
)
def test_an_edit_is_told_in_words(change: Callable[[Network], Network], text: str) -> None:
    session = EditSession(load_preset("paper"))
    session.apply(change(session.network))
    assert session.last_change == text
    session.undo()
    assert session.last_change == text
    session.redo()
    assert session.last_change == text


def test_a_layer_becomes_one_of_another_type() -> None:
    """What both types have is kept where the other allows it; escape takes all of it back."""
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "pool1")
    assert session.preview(typed(values, type="avg_pool2d"))
    assert session.editing is not None
    assert session.editing.form.values["kernel_size"] == 3
    assert session.editing.form.values["stride"] == 2
    assert session.preview(typed(session.editing.form.values, type="conv2d", name="stem"))
    assert session.editing.form.values["name"] == "stem"
    assert session.shown.rows[3].layer.type == "conv2d"
    session.preview(typed(session.editing.form.values, type="convolution"))
    assert "type: found" in error(session)
    assert session.shown.rows[3].layer.type == "max_pool2d"
    session.cancel()
    assert session.network == load_preset("paper").network


@pytest.mark.parametrize("layer_type", EDITABLE_TYPES)
def test_a_layer_becomes_one_of_every_type(layer_type: str) -> None:
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "conv2")
    session.preview(typed(values, type=layer_type))
    assert session.editing is not None
    assert session.shown.rows[4].layer.type == layer_type
    assert session.editing.form.field("type").text == layer_type


def test_after_a_commit_the_preset_as_it_was_opened_is_the_baseline() -> None:
    """Also after several edits, until marks are switched off, or all is taken back, or saved."""
    session = EditSession(load_preset("paper"))
    opened = session.network
    for layer in ("relu1", "norm1"):
        session.apply(session.network.remove(session.network.index(layer)))
    baselines = [session.baseline]
    session.marks_changes = False
    baselines.append(session.baseline)
    session.marks_changes = True
    session.mark_saved(save_preset(session.preset, "mine"))
    baselines.append(session.baseline)
    session.undo()
    baselines.append(session.baseline)
    networks = [baseline.network if baseline else None for baseline in baselines]
    assert networks == [opened, None, None, load_preset("mine").network]


def test_cancel_leaves_no_trace() -> None:
    session = EditSession(load_preset("paper"))
    session.preview(typed(begin_layer(session, "conv1"), out_channels=64))
    session.cancel()
    assert session.shown is session.analysis
    assert session.shown.totals.params == PAPER_PARAMS
    assert not session.undo()


def test_another_edit_forgets_what_was_undone() -> None:
    session = EditSession(load_preset("paper"))
    session.apply(session.network.remove(0))
    session.undo()
    session.apply(session.network.remove(1))
    assert not session.redo()


def test_a_layer_is_renamed_by_its_form() -> None:
    session = EditSession(load_preset("paper"))
    values = begin_layer(session, "conv1")
    session.preview(typed(values, name="conv2"))
    assert "used twice" in error(session)
    session.preview(typed(values, name="stem", out_channels=48))
    assert session.commit()
    assert (session.network.layers[0].name, session.network.layers[0].settings()["out_channels"]) == ("stem", 48)


@pytest.mark.parametrize("layer_type", EDITABLE_TYPES)
def test_every_layer_type_can_be_added_and_taken_back(layer_type: str) -> None:
    session = EditSession(load_preset("paper"))
    opened = session.network
    edit = new_layer_edit(session.network, 3, layer_type)
    form = session.begin(edit)
    assert edit.position == 3
    assert session.shown.rows[3].layer.type == layer_type
    assert [field.name for field in form.fields] == ["name", "type", *setting_fields(EDITABLE_TYPES[layer_type])]
    assert session.commit()
    assert len(session.network.layers) == len(opened.layers) + 1
    assert session.undo()
    assert session.network == opened


def test_an_unreadable_new_layer_stays_where_it_is() -> None:
    session = EditSession(load_preset("lenet"))
    edit = new_layer_edit(session.network, 1, "conv2d")
    form = session.begin(edit)
    session.preview(typed(form.values, kernel_size=None))
    assert [row.layer.type for row in session.shown.rows[:3]] == ["conv2d", "conv2d", *[session.network.layers[1].type]]


def test_input_classes_and_towers() -> None:
    session = EditSession(load_preset("paper"))
    form = session.begin(input_edit(session.network))
    assert (form.values["channels"], form.values["classes"], form.values["towers"]) == (3, 1000, 2)
    session.preview(typed(form.values, height=259, width=259, classes=10, towers=1))
    assert session.commit()
    assert (session.network.input, session.network.classes, session.network.towers) == ((3, 259, 259), 10, 1)


def test_an_empty_number_of_classes_keeps_it() -> None:
    session = EditSession(load_preset("paper"))
    form = session.begin(input_edit(session.network))
    session.preview(typed(form.values, classes=None))
    assert session.commit()
    assert session.network.classes == 1000


def test_published_numbers_go_back_and_forth_with_a_name() -> None:
    """Also where a layer that is gone gives its name to another, whose numbers must not be mixed with its own."""
    paper = load_preset("paper")
    session = EditSession(paper)
    session.apply(session.network.rename(0, "new1"))
    session.apply(session.network.remove(0))
    session.apply(session.network.rename(session.network.index("conv2"), "new1"))
    edited = session.preset
    assert "conv1" not in published_layers(edited)
    assert "conv2" not in published_layers(edited)
    assert [one.value for one in edited.published if one.layer == "new1"] == [
        one.value for one in paper.published if one.layer == "conv2"
    ]
    while session.undo():
        pass
    assert session.preset == paper
    while session.redo():
        pass
    assert session.preset == edited


def test_a_save_goes_on_under_its_name() -> None:
    """The history stays, and what was said of a removed layer comes back with it."""
    paper = load_preset("paper")
    session = EditSession(paper)
    session.apply(session.network.remove(0))
    session.mark_saved(save_preset(session.preset, "mine"))
    assert not session.modified
    assert "conv1" not in published_layers(session.preset)
    assert session.undo()
    assert (session.preset.name, published_layers(session.preset)) == ("mine", published_layers(paper))
    assert session.modified


def test_a_network_that_a_run_has_is_not_lost() -> None:
    session = EditSession(load_preset("paper"))
    session.apply(session.network.remove(0))
    assert (session.modified, session.unsaved) == (True, True)
    session.mark_trained()
    assert (session.modified, session.unsaved) == (True, False)
    session.apply(session.network.remove(0))
    assert (session.modified, session.unsaved) == (True, True)


def test_opening_forgets_the_preset_before() -> None:
    session = EditSession(load_preset("paper"))
    session.apply(session.network.remove(0))
    begin_layer(session, "conv2")
    openings = session.openings
    session.open(replace(load_preset("lenet"), title=""))
    assert session.openings > openings
    assert session.editing is None
    assert session.title == "lenet"
    assert not session.undo()
