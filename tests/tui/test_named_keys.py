"""The names of the keys' actions leave what Textual knows of its classes alone."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from alexplore.tui.app import ExploreApp
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
