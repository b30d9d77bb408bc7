"""The base of every list."""

from __future__ import annotations

from alexplore.tui.screens.dialogs import Choose
from alexplore.tui.widgets.choice_list import Choice, ChoiceList
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


async def test_a_bar_that_appears_stands_where_the_view_is(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        app.push_screen(Choose("Which?", [Choice(str(number)) for number in range(60)]))
        await until(pilot, lambda: "Which?" in screen_text(app), "the dialog")
        view = app.screen.query_one(ChoiceList)
        view.show_vertical_scrollbar = False
        view.scroll_to(y=9, animate=False, force=True)
        await until(pilot, lambda: view.scroll_y == 9, "the scroll")
        view.show_vertical_scrollbar = True
        await until(pilot, lambda: view.vertical_scrollbar.position == 9, "the bar")
