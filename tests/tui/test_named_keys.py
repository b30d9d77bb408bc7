"""The names of the keys' actions leave what Textual knows of its classes alone."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.binding import Binding
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from alexplore.tui.app import ExploreApp
from alexplore.tui.named_keys import NamedKeys
from alexplore.tui.screens import inside, plan, predict, watch  # noqa: F401 (their keys)
from alexplore.tui.screens.dialogs import Confirm
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.jump import JumpScreen
from alexplore.tui.screens.plan import PlanScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.screens.welcome import Welcome
from alexplore.tui.widgets.check_list import CheckList
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.curves import Curves
from alexplore.tui.widgets.formula import FormulaPanel
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.preset_list import PresetList
from alexplore.tui.widgets.run_table import RunTable
from alexplore.tui.widgets.setting_list import SettingList


@pytest.mark.parametrize(
    ("ours", "base"),
    [
        (ExploreApp, App),
        (RunsScreen, Screen),
        (Curves, Widget),
        (Confirm, ModalScreen),
        (Welcome, ModalScreen),
        (JumpScreen, ModalScreen),
    ],
)
def test_default_styles_and_component_classes_are_inherited(ours: type[Widget], base: type[Widget]) -> None:
    """Without them a text that is selected can't be drawn, for example."""
    assert base in ours._css_bases(ours)
    assert base._get_component_classes() <= ours._get_component_classes()


MOVES = {"J", "K"}  # what is selected: a layer, a waiting run


def test_a_capital_letter_does_one_thing_in_the_whole_app() -> None:
    """N was a note in Runs and the number of epochs in Train."""
    meanings: dict[str, set[str]] = {}
    for cls in every_class(NamedKeys):
        for binding in Binding.make_bindings(cls.__dict__.get("BINDINGS", ())):
            if len(binding.key) == 1 and binding.key.isupper():
                meanings.setdefault(binding.key, set()).add(binding.description)
    assert meanings["N"] == {"note"}
    assert not {key: names for key, names in meanings.items() if len(names) > 1 and key not in MOVES}


def test_no_two_actions_have_one_name() -> None:
    """With one, the preferences would give both the same key."""
    for cls in every_class(NamedKeys):
        actions: dict[str | None, set[str]] = {}
        for binding in Binding.make_bindings(cls.__dict__.get("BINDINGS", ())):
            actions.setdefault(binding.id, set()).add(binding.action)
        assert not {name: shared for name, shared in actions.items() if len(shared) > 1}, cls


THREE_SCREENS: tuple[type[NamedKeys], ...] = (
    ExploreApp, ExploreScreen, LayerTable, FormulaPanel, PresetList, PlanScreen, SettingList, CheckList, WatchScreen,
    RunsScreen, RunTable, Curves, CursorList,
)  # fmt: skip
"""The screens behind the keys 1, 2 and 3, and their panes that have keys of their own."""

TWO_MEANINGS: dict[str, set[str]] = {
    "d": {"compare", "details"},  # differences from other presets; those of the selected run
    "f": {"fix", "fork"},  # what is wrong with a layer or a form; a run, which has nothing to fix
    "m": {"totals", "measure time", "metric"},  # of a network; of a form; of runs
    "o": {"source", "sort"},
    "p": {"presets", "by preset"},  # the list of presets; the list of runs, in groups by their presets
    "s": {"save", "export"},  # what the screen shows, to a file
    "t": {"train", "time"},  # a network; the axis of curves
    "v": {"picture", "inside"},  # a look at the network
    "w": {"watch", "raw"},  # in the list of runs; on a run that is watched
    "x": {"remove", "stop"},  # only where layers or runs have the keys
}
"""Letters with another meaning on another screen, because both screens' own words begin with it."""


def test_a_small_letter_does_one_thing_on_the_three_screens() -> None:
    """R resumed a run in two screens and reset a setting in the third; e exported a network and evaluated a run."""
    meanings: dict[str, set[str]] = {}
    for cls in THREE_SCREENS:
        for binding in Binding.make_bindings(cls.__dict__.get("BINDINGS", ())):
            if len(binding.key) == 1 and binding.key.islower():
                meanings.setdefault(binding.key, set()).add(binding.description.rstrip("…"))
    assert {key: names for key, names in meanings.items() if len(names) > 1} == TWO_MEANINGS


def test_every_pane_with_letters_is_among_them() -> None:
    """Panes of other screens, and dialogs, are left out; a new one has to be put on either side."""
    others = {
        "ComparisonScreen", "InsideScreen", "InsidePicture", "LookScreen", "PredictScreen", "EntryList", "Confirm",
        "HelpScreen",
    }  # fmt: skip
    found = set()
    for cls in every_class(NamedKeys):
        keys = [binding.key for binding in Binding.make_bindings(cls.__dict__.get("BINDINGS", ()))]
        if cls.__module__.startswith("alexplore.") and any(len(key) == 1 and key.islower() for key in keys):
            found.add(cls)
    assert {cls.__name__ for cls in found - set(THREE_SCREENS)} <= others


def every_class(base: type[object]) -> list[type[object]]:
    """Return the classes that derive from one, of those that are imported."""
    classes: list[type[object]] = []
    for derived in base.__subclasses__():
        classes += [derived, *every_class(derived)]
    return classes
