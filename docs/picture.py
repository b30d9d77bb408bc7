"""Draws the pictures of the README from the app itself: `make picture`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")

from textual.widgets import Input

from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp
from docs.screen_svg import screen_svg

HERE = Path(__file__).parent
PICTURES = {
    "explore.svg": ("down",) * 4,
    "edit.svg": (*("down",) * 4, "enter", "tab", "tab", "3"),
}
"""The name of each picture, and the keys that lead to it from the paper's network."""


async def draw(name: str) -> str:
    """Return a picture as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        app = ExploreApp(load_preset("paper"), Path(folder))
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            for key in PICTURES[name]:
                await pilot.press(key)
                await pilot.pause()
            for field in app.screen.query(Input):
                field.cursor_blink = False
            await pilot.pause()
            return screen_svg(app, title="alexplore")


if __name__ == "__main__":
    for name in PICTURES:
        (HERE / name).write_text(asyncio.run(draw(name)), encoding="utf-8")
