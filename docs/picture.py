"""Draws the pictures of the README from the app itself: `make picture`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")

from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp

HERE = Path(__file__).parent


async def draw(name: str, keys: tuple[str, ...]) -> None:
    """Press keys in the app, and save what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        app = ExploreApp(load_preset("paper"), Path(folder))
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            (HERE / name).write_text(app.export_screenshot(title="alexplore tui"), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(draw("explore.svg", ("down",) * 4))
    asyncio.run(draw("edit.svg", ("down",) * 4 + ("enter", "tab", "tab", "3")))
