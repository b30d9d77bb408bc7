"""The dialogs that list presets."""

from __future__ import annotations

from alexplore.presets.library import shipped_names
from alexplore.tui.widgets.preset_list import PresetList
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


async def test_sizes_are_whole_beside_the_scrollbar(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: app.explore.presets_read, "the sizes of the presets")
        await pilot.press("d")
        await until(pilot, lambda: "Compare with" in screen_text(app), "the dialog")
        await until(pilot, lambda: app.screen.query_one(PresetList).show_vertical_scrollbar, "the scrollbar")
        width = app.screen.query_one(PresetList).scrollable_content_region.width
        lines = [line[4 : 4 + width] for line in screen_text(app).splitlines()]
        sizes = [line.split()[-1] for line in lines if line.split()[:1] and line.split()[0] in shipped_names()]
        assert len(sizes) > 5
        assert all(size.endswith(("M", "k")) for size in sizes), sizes
