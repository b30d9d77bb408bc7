"""Draws the pictures of the README from the app itself: `make picture`.

A test draws them, too, and fails if they are not those in this folder.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")

from textual.pilot import Pilot
from textual.widgets import Input

from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp
from docs.demo_runs import DemoRuns, one_machine, still_clock
from docs.screen_svg import screen_svg

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds
SIZE = (120, 40)


@dataclass(frozen=True)
class Scene:
    """What is opened, the keys that lead to the picture, and the texts that show that it is complete."""

    preset: str
    keys: tuple[str, ...]
    shown: tuple[str, ...]


PICTURES = {
    "explore.svg": Scene("paper", ("down",) * 4, ("conv2 · conv2d",)),
    "edit.svg": Scene("paper", (*("down",) * 4, "enter", "down", "3"), ("conv2",)),
    "form.svg": Scene("fmnist-28", ("t",), ("an epoch",)),
    "run.svg": Scene("fmnist-28", ("3", "enter"), ("epoch 1/3", "p pause")),
    "runs.svg": Scene("fmnist-28", ("3", "space", *("down",) * 3, "space", "down", "space"), ("validation", "KiB")),
}
"""The file of each picture, and how it comes about."""


async def draw(name: str, folder: Path) -> str:
    """Return a picture as SVG; `folder` is for the app's runs, and is to be empty."""
    scene = PICTURES[name]
    home = patch.dict(os.environ, HOME=str(folder))  # so that paths are shown as ~/…
    with still_clock() as clock, one_machine(), home:
        DemoRuns(folder, clock).several()
        app = ExploreApp(load_preset(scene.preset), folder)
        async with app.run_test(size=SIZE) as pilot:
            for key in scene.keys:
                await _settle(pilot)
                await pilot.press(key)
            deadline = time.monotonic() + PATIENCE
            while not all(text in _text(app) for text in scene.shown) and time.monotonic() < deadline:
                await _settle(pilot)
            await _settle(pilot)
            for field in app.screen.query(Input):
                field.cursor_blink = False
            await _settle(pilot)
            return screen_svg(app, title="alexplore")


async def _settle(pilot: Pilot[None]) -> None:
    """Wait for what the app reads in the background, too."""
    await pilot.pause(0.3)


def _text(app: ExploreApp) -> str:
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join(line.text for line in lines)


def main() -> None:
    """Write every picture as somebody without presets of their own sees it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        os.environ.pop("NO_COLOR", None)
        for name in PICTURES:
            runs = Path(folder, name)
            (HERE / name).write_text(asyncio.run(draw(name, runs)), encoding="utf-8")


if __name__ == "__main__":
    main()
