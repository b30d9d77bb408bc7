"""Draws the pictures of the README from the app itself: `make picture`.

A test draws them, too, and fails if they are not those in this folder.
"""

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
"""The file of each picture, and the keys that lead to it from the paper's network."""


async def draw(name: str, folder: Path) -> str:
    """Return a picture as SVG; `folder` is for the app's runs, and is to be empty."""
    app = ExploreApp(load_preset("paper"), folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for key in PICTURES[name]:
            await pilot.press(key)
            await pilot.pause()
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()
        return screen_svg(app, title="alexplore")


def main() -> None:
    """Write every picture as somebody without presets of their own sees it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        os.environ.pop("NO_COLOR", None)
        for name in PICTURES:
            (HERE / name).write_text(asyncio.run(draw(name, Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
