"""The list of settings: moving, editing one value, finding one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.pilot import Pilot

from alexplore.core.settings import choice, flag, integer, number, optional, setting, text
from alexplore.tui.form import Form
from alexplore.tui.palette import app_colours
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.dialogs import Choose
from alexplore.tui.widgets.setting_list import SettingList
from alexplore.tui.widgets.setting_pane import SettingPane
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


@dataclass(frozen=True)
class Settings:
    """Settings of each kind that a list treats differently."""

    colour: str = setting(choice("red", "green", "greenish"), "green", "what is painted")
    count: int = setting(integer(1, 9), 3, "how many")
    rate: float = setting(number(0), 0.5, "how fast")
    flip: bool = setting(flag(), False, "mirrored or not")
    limit: int | None = setting(optional(integer(1)), None, "at most")
    title: str | None = setting(optional(text()), None, "what it is called")


GROUPS = {"First": ("colour", "count", "rate"), "More": ("flip", "limit"), "Last": ("title",)}
VALUES = {"colour": "green", "count": 3, "rate": 0.5, "flip": False}


class ListApp(App[None]):
    """A form, and the messages of its list in the order in which they came."""

    BINDINGS = [Binding("1", "digit", "one"), Binding("q", "digit", "q"), Binding("question_mark", "digit", "?")]  # noqa: RUF012
    CSS = ".table--cursor { text-style: bold; }"

    def __init__(self, *, at_once: bool = False) -> None:
        super().__init__()
        self.form = Form([Settings], VALUES, groups=None if at_once else GROUPS)
        self.pane = SettingPane(at_once=at_once)
        self.messages: list[tuple[str, str]] = []
        self.digits = 0

    def get_css_variables(self) -> dict[str, str]:
        variables = super().get_css_variables()
        return variables | app_colours(variables)

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.pane.edit(self.form)

    def action_digit(self) -> None:
        self.digits += 1

    def on_setting_list_changed(self, event: SettingList.Changed) -> None:
        self.messages.append(("changed", event.name))

    def on_setting_list_committed(self, event: SettingList.Committed) -> None:
        self.messages.append(("committed", event.name))

    def on_setting_list_cancelled(self) -> None:
        self.messages.append(("cancelled", ""))

    def on_setting_list_opened(self, event: SettingList.Opened) -> None:
        self.messages.append(("opened", event.name))

    def line(self, title: str) -> str:
        """Return the line of the screen that begins with a title."""
        return next(line for line in screen_text(self).splitlines() if line.lstrip(" ▸▾").startswith(title))


@asynccontextmanager
async def opened(
    size: tuple[int, int] = (80, 20), *, at_once: bool = False
) -> AsyncIterator[tuple[ListApp, Pilot[None]]]:
    app = ListApp(at_once=at_once)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


def value(app: ListApp, name: str) -> Any:
    return app.form.field(name).value


async def test_enter_edits_a_value_and_enter_ends_it() -> None:
    async with opened() as (app, pilot):
        await pilot.press("down", "enter", "7", "enter")
        assert value(app, "count") == 7
        assert app.messages[-1] == ("committed", "count")
        assert app.form.entry is None
        assert "was 3" in app.line("count")


async def test_down_ends_a_value_and_goes_on() -> None:
    async with opened() as (app, pilot):
        await pilot.press("down", "enter", "7", "down")
        assert value(app, "count") == 7
        assert app.form.current.name == "rate"


async def test_escape_takes_a_value_back_and_then_leaves() -> None:
    async with opened() as (app, pilot):
        await pilot.press("down", "enter", "7", "escape")
        assert value(app, "count") == 3
        assert ("cancelled", "") not in app.messages
        await pilot.press("escape")
        assert app.messages[-1] == ("cancelled", "")


@pytest.mark.parametrize("key", ["enter", "down", "up"])
async def test_a_value_that_is_not_allowed_is_refused_on_its_field(key: str) -> None:
    async with opened((120, 20)) as (app, pilot):
        await pilot.press("down", "enter", "4", "4", key)
        assert app.form.entry is not None
        assert app.form.current.name == "count"
        assert "found 44, allowed: an integer ≥ 1 and ≤ 9" in app.line("count")
        assert "✗ count: found 44, allowed: an integer ≥ 1 and ≤ 9" in app.pane.help.text
        assert ("committed", "count") not in app.messages


async def test_typing_begins_and_keys_of_the_app_work_only_while_moving() -> None:
    async with opened() as (app, pilot):
        await pilot.press("1", "down", "q", "?")
        assert app.digits == 3
        assert value(app, "count") == 3
        await pilot.press("4")
        assert value(app, "count") == 4
        await pilot.press("ctrl+u", "1", "enter")
        assert (value(app, "count"), app.digits) == (1, 3)
        await pilot.press("up", "1")  # a choice
        assert app.digits == 4


async def test_a_number_is_typed_also_where_its_digits_are_keys_of_the_app() -> None:
    async with opened() as (app, pilot):
        await pilot.press("down", "1", "enter")
        assert (value(app, "count"), app.digits) == (1, 0)
        assert app.pane.list.check_consume_key("1", "1")
        await pilot.press("up")
        assert not app.pane.list.check_consume_key("1", "1")


async def test_arrows_step_choices_and_numbers() -> None:
    async with opened() as (app, pilot):
        await pilot.press("right")
        assert value(app, "colour") == "greenish"
        await pilot.press("left", "left")
        assert value(app, "colour") == "red"
        await pilot.press("down", "right", "right", "left")
        assert value(app, "count") == 4
        assert app.form.entry is None
        await pilot.press(*["right"] * 9)
        assert value(app, "count") == 9


async def test_a_choice_is_completed_where_only_one_is_meant() -> None:
    async with opened() as (app, pilot):
        await pilot.press("enter", "r", "e", "enter")
        assert value(app, "colour") == "red"
        await pilot.press("enter", *"gr", "enter")  # two begin so
        assert app.form.entry is not None
        await pilot.press("tab", "enter")
        assert value(app, "colour") == "green"


async def test_groups_are_folded_and_say_what_they_hold() -> None:
    async with opened() as (app, pilot):
        assert "flip false · limit –" in app.line("More")
        assert "mirrored" not in screen_text(app)
        await pilot.press("down", "down", "down", "enter")
        assert "mirrored" in screen_text(app)
        await pilot.press("down", "right")
        assert value(app, "flip") is True
        await pilot.press("up", "left")
        assert "1 changed" in app.line("More")
        await pilot.press("right")
        assert "was false" in app.line("flip")


async def test_the_reset_of_one_setting_of_a_group_and_of_all() -> None:
    async with opened() as (app, pilot):
        await pilot.press("right", "down", "right", "down", "right")
        assert (value(app, "colour"), value(app, "count"), value(app, "rate")) == ("greenish", 4, 1.0)
        await pilot.press("backspace")
        assert value(app, "rate") == 0.5
        await pilot.press("up", "backspace")
        assert (value(app, "colour"), value(app, "count")) == ("greenish", 3)
        await pilot.press("ctrl+r")
        assert value(app, "colour") == "green"
        assert app.messages[-1] == ("changed", "")


async def test_a_setting_is_found_by_its_words_also_in_a_folded_group() -> None:
    async with opened() as (app, pilot):
        await pilot.press("slash", *"most")
        assert "1 of 6" in app.pane.help.text
        assert app.form.current.name == "limit"
        await pilot.press("enter")
        assert app.form.search is None
        assert app.form.current.name == "limit"
        assert "at most" in app.line("limit")
        await pilot.press("slash", *"nothing", "escape", "5", "enter")
        assert value(app, "limit") == 5


async def test_an_unused_setting_is_not_shown() -> None:
    async with opened() as (app, _):
        app.form.is_used = lambda field: field.name not in ("rate", "title")
        app.pane.refresh_form()
        assert [getattr(line, "name", "") for line in app.form.lines] == ["colour", "count", ""]


async def test_a_click_steps_folds_and_edits() -> None:
    async with opened() as (app, pilot):
        line = app.line("colour")
        await pilot.click(SettingList, offset=(line.index("▸"), 0))
        assert value(app, "colour") == "greenish"
        await pilot.click(SettingList, offset=(line.index("◂"), 0))
        assert value(app, "colour") == "green"
        await pilot.click(SettingList, offset=(4, 3))
        assert "mirrored" in screen_text(app)
        await pilot.click(SettingList, offset=(20, 1), times=2)
        assert app.form.entry is not None
        await pilot.press("8", "enter")
        assert value(app, "count") == 8


async def test_a_text_that_is_longer_than_the_line_keeps_its_caret_in_view() -> None:
    async with opened((40, 20)) as (app, pilot):
        app.pane.select("title")
        await pilot.press("enter", *"abcdefghij" * 5)
        assert app.line("title").rstrip().endswith("hij")
        await pilot.press("home")
        assert "abcdefghij" in app.line("title")
        await pilot.press("enter")
        assert value(app, "title") == "abcdefghij" * 5


async def test_a_list_that_edits_at_once_takes_every_character_and_ends_with_enter() -> None:
    async with opened(at_once=True) as (app, pilot):
        await pilot.press("down", "1")
        assert (value(app, "count"), app.digits) == (1, 0)
        await pilot.press("enter")
        assert app.messages[-1] == ("committed", "")
        assert app.form.entry is None
        await pilot.press("up", "right", "enter")
        assert value(app, "colour") == "greenish"
        assert app.messages[-1] == ("committed", "")


async def test_what_is_pasted_replaces_the_value() -> None:
    async with opened() as (app, pilot):
        from textual.events import Paste

        await pilot.press("down")
        app.pane.list.post_message(Paste("6\nmore"))
        await pilot.pause()
        await pilot.press("enter")
        assert value(app, "count") == 6


async def test_a_click_on_a_value_asks_to_choose(open_app: OpenApp) -> None:
    async with open_app("fmnist-28") as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "◂ adam" in screen_text(app), "the form")
        await click(pilot, "adam")
        await until(pilot, lambda: isinstance(app.screen, Choose), "the list of choices")
        await click(pilot, "sgd")
        await until(pilot, lambda: app.state.planned.form.field("optimizer").text == "sgd", "the choice")
        assert "momentum" in [field.name for field in app.state.planned.form.members("Regularising")]


async def click(pilot: Pilot[None], text: str) -> None:
    """Click on the first place that shows a text."""
    lines = screen_text(pilot.app).splitlines()
    y, x = next((y, line.index(text)) for y, line in enumerate(lines) if text in line)
    await pilot.click(offset=(x + 1, y))
    await pilot.pause()


async def test_a_double_click_opens_one_dialog(open_app: OpenApp) -> None:
    async with open_app("fmnist-28", size=(120, 60)) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "◂ adam" in screen_text(app), "the form")
        lines = screen_text(app).splitlines()
        y, x = next((y, line.index("folder  ")) for y, line in enumerate(lines) if "folder  " in line)
        await pilot.click(offset=(x + 1, y), times=2)
        await until(pilot, lambda: isinstance(app.screen, Browse), "the browser")
        await pilot.pause()
        assert sum(isinstance(screen, Browse) for screen in app.screen_stack) == 1
