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
from alexplore.tui.screens.jump import JumpScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.welcome import Welcome
from alexplore.tui.widgets.curves import Curves


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


def every_class(base: type[object]) -> list[type[object]]:
    """Return the classes that derive from one, of those that are imported."""
    classes: list[type[object]] = []
    for derived in base.__subclasses__():
        classes += [derived, *every_class(derived)]
    return classes
