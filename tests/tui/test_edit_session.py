"""Edits, undo and redo of a preset, without the app around it."""

from __future__ import annotations

from dataclasses import replace

from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.writer import save_preset
from alexplore.tui.edit_session import Workspace


def names(preset: Preset) -> list[str | None]:
    return [one.layer for one in preset.published]


def test_published_numbers_go_back_and_forth_with_a_name() -> None:
    """As a layer that is gone gives its name to another, whose numbers are not to be mixed with its own."""
    paper = load_preset("paper")
    workspace = Workspace(paper)
    workspace.edit(workspace.network.rename(0, "new1"))
    workspace.edit(workspace.network.remove(0))
    workspace.edit(workspace.network.rename(workspace.network.index("conv2"), "new1"))
    edited = workspace.preset
    assert "conv1" not in names(edited) and "conv2" not in names(edited)
    assert [one.value for one in edited.published if one.layer == "new1"] == [
        one.value for one in paper.published if one.layer == "conv2"
    ]
    workspace.with_recipe(replace(paper.recipe, lr=0.5))
    while workspace.undo():
        pass
    assert workspace.preset == replace(paper, recipe=replace(paper.recipe, lr=0.5))
    while workspace.redo():
        pass
    assert workspace.preset == replace(edited, recipe=replace(paper.recipe, lr=0.5))


def test_a_save_goes_on_under_its_name() -> None:
    """The history stays, and what a save left out with its layer comes back with it."""
    paper = load_preset("paper")
    workspace = Workspace(paper)
    workspace.edit(workspace.network.remove(0))
    workspace.saved(save_preset(workspace.preset, "mine"))
    assert "conv1" not in names(workspace.preset)
    assert workspace.undo()
    assert (workspace.preset.name, names(workspace.preset)) == ("mine", names(paper))
    assert workspace.modified
