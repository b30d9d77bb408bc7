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
os.environ["COLORTERM"] = "truecolor"

from textual.pilot import Pilot

from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp
from docs.demo_runs import DemoRuns, one_machine, still_clock
from docs.screen_svg import settled_svg

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds
SIZE = (120, 40)


@dataclass(frozen=True)
class Shown:
    """A step of a scene: wait until the screen shows a text."""

    text: str


@dataclass(frozen=True)
class Scene:
    """The preset that the app opens with, and the steps to the picture: keys, and texts to wait for."""

    preset: str
    steps: tuple[str | Shown, ...]


PICTURES = {
    "explore.svg": Scene("paper", (*("down",) * 4, Shown("conv2 · conv2d"))),
    "edit.svg": Scene("paper", (*("down",) * 4, Shown("conv2 · conv2d"), "enter", "down", "3")),
    "form.svg": Scene("fmnist-28", ("t", Shown("an epoch"))),
    "run.svg": Scene("fmnist-28", ("3", Shown("crashed"), "enter", Shown("epoch 1/3"), Shown("pause"))),
    "inside.svg": Scene(
        "fmnist-28",
        ("3", Shown("crashed"), "G", "enter", Shown("epoch 3/3"), "v", Shown("epoch 3 · newest"), Shown("mean")),
    ),
    "runs.svg": Scene(
        "fmnist-28",
        (
            "3",
            Shown("crashed"),
            "space",
            *("down",) * 3,
            "space",
            "down",
            "space",
            Shown("of the 3 marked"),
            Shown("KiB"),
        ),
    ),
}
"""The scene of each file."""


async def draw(name: str, folder: Path, *, expected: str = "", seconds: float = 2.0) -> str:
    """Return a picture as SVG: as soon as it is `expected`, or when it has not changed for `seconds`.

    `folder` is for the app's runs, and must be empty.

    Raises:
        TimeoutError: the screen does not show a text of the scene.
    """
    scene = PICTURES[name]
    home = patch.dict(os.environ, HOME=str(folder))  # so that paths are shown as ~/…
    with still_clock() as clock, one_machine(), home:
        DemoRuns(folder, clock).several()
        app = ExploreApp(load_preset(scene.preset), folder)
        async with app.run_test(size=SIZE) as pilot:
            for step in scene.steps:
                if isinstance(step, Shown):
                    await _wait_for(step.text, app, pilot)
                else:
                    await pilot.press(step)
            return await settled_svg(app, pilot, "alexplore", expected=expected, seconds=seconds)


async def _wait_for(text: str, app: ExploreApp, pilot: Pilot[None]) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in _text(app):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{text!r} is not shown within {PATIENCE:.0f} s")
        await pilot.pause(0.02)


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
