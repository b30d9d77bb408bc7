"""The filter of lists: which lines are listed, and the keys that type it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.strip import Strip

from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.word_filter import contains_words
from tests.support.screens import screen_text, until

NAMES = ["conv1", "relu1", "pool1", "conv2", "relu2", "fc"]


class Names(CursorList):
    """A list of names."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}

    @property
    def line_count(self) -> int:
        """The number of names."""
        return len(NAMES)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a name, marked if it is selected."""
        return Strip([Segment(f"{'>' if selected else ' '}{NAMES[index]}")]).adjust_cell_length(width)


class NamesApp(App[None]):
    """Shows the list, and counts how often an Escape reaches it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "left", "left")]
    escapes = 0

    def compose(self) -> ComposeResult:
        """Yield the list."""
        yield Names()

    def get_css_variables(self) -> dict[str, str]:
        """Return the theme's variables with a colour of ours."""
        return super().get_css_variables() | {"faint": "#888888"}

    def action_left(self) -> None:
        """Count."""
        self.escapes += 1


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[NamesApp, Names, Pilot[None]]]:
    app = NamesApp()
    async with app.run_test(size=(40, 10)) as pilot:
        names = app.query_one(Names)
        names.show_lines()
        names.focus()
        await pilot.pause()
        yield app, names, pilot


def listed(app: NamesApp) -> list[str]:
    return [line.strip(" >") for line in screen_text(app).splitlines() if line.strip(" >") in NAMES]


@pytest.mark.parametrize(
    ("text", "words", "contained"),
    [("conv1 conv2d", "CONV", True), ("conv1 conv2d", "2d conv1", True), ("relu", "conv", False), ("relu", "", True)],
)
def test_every_word_has_to_be_there(text: str, words: str, contained: bool) -> None:
    assert contains_words(text, words) == contained


async def test_words_leave_lines_that_have_them_and_escape_brings_all_back() -> None:
    async with opened() as (app, names, pilot):
        await pilot.press("slash", *"CONV")
        await until(pilot, lambda: listed(app) == ["conv1", "conv2"], "the lines with the word")
        assert "/CONV▏  2 of 6 · esc clears" in screen_text(app)
        await pilot.press("down", "j")
        await until(pilot, lambda: NAMES[names.cursor] == "conv2", "the next line that is listed")
        await pilot.press("escape")
        await until(pilot, lambda: listed(app) == NAMES, "all lines")
        assert NAMES[names.cursor] == "conv2"
        assert app.escapes == 0
        await pilot.press("escape")
        await until(pilot, lambda: app.escapes == 1, "an escape of the app's")


async def test_the_cursor_goes_to_the_nearest_line_that_is_left() -> None:
    async with opened() as (_, names, pilot):
        await pilot.press("down", "down", "slash", *"relu2")
        await until(pilot, lambda: NAMES[names.cursor] == "relu2", "the only line")


async def test_nothing_is_chosen_where_nothing_matches() -> None:
    async with opened() as (app, names, pilot):
        await pilot.press("slash", *"zzz", "enter")
        await until(pilot, lambda: "no match" in screen_text(app), "a word about it")
        names.action_choose()
        assert names.row_count == 0
        await pilot.press("tab")
        names.blur()
        await until(pilot, lambda: listed(app) == NAMES, "all lines, rather than none to act on")


async def test_a_cursor_that_is_put_on_a_hidden_line_shows_it() -> None:
    async with opened() as (app, names, pilot):
        await pilot.press("slash", *"conv", "enter")
        names.cursor = NAMES.index("fc")
        await until(pilot, lambda: listed(app) == NAMES, "all lines")
        assert NAMES[names.cursor] == "fc"
