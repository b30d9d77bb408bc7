"""Whatever is pressed, clicked or resized, in any order: the app goes on."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.events import Resize
from textual.geometry import Size
from textual.pilot import OutOfBounds, Pilot

from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.tui.app import ExploreApp
from tests.support.runs import finished_run

KEYS = (
    *"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"0123456789",
    "up", "down", "left", "right", "home", "end", "pageup", "pagedown", "tab", "shift+tab", "enter", "escape", "space",
    "backspace", "delete", "slash", "backslash", "question_mark", "plus", "minus", "full_stop", "comma",
    "left_square_bracket", "right_square_bracket", "f1", "f5", "ctrl+a", "ctrl+b", "ctrl+d", "ctrl+k", "ctrl+n",
    "ctrl+o", "ctrl+p", "ctrl+r", "ctrl+s", "ctrl+u", "ctrl+w", "ctrl+y", "shift+up", "shift+down", "shift+right",
    "alt+1", "alt+2", "alt+3",
)  # fmt: skip
"""Without ctrl+c, ctrl+q and ctrl+z, which end or suspend the app."""

GUIDES = ("tour", "lesson('one-convolution')", "lesson('output-sizes')", "welcome")
"""Actions of the palette that random keys seldom reach."""

OFTEN = ("1", "2", "3", "enter", "escape", "down", "tab", "ctrl+p")
SIZES = ((120, 40), (80, 24), (200, 60), (60, 20), (40, 12), (20, 6), (1, 1))


class Monkey:
    """Presses keys, clicks and resizes at random, but always the same for a seed."""

    def __init__(self, app: App[Any], pilot: Pilot[None], seed: int) -> None:
        self.app, self.pilot, self.chance = app, pilot, random.Random(seed)
        self.done: list[str] = []

    async def act(self) -> None:
        """Do one thing."""
        what = self.chance.random()
        if what < 0.8:
            key = self.chance.choice(OFTEN if self.chance.random() < 0.3 else KEYS)
            self.done.append(key)
            await self.pilot.press(key)
        elif what < 0.81:
            self.done.append(self.chance.choice(GUIDES))
            await self.app.run_action(self.done[-1])
        elif what < 0.95:
            at = self.chance.randrange(self.app.size.width), self.chance.randrange(self.app.size.height)
            times = self.chance.choice((1, 1, 2))
            self.done.append(f"click {at} {times}")
            with suppress(OutOfBounds):
                await self.pilot.click(offset=at, times=times)
        else:
            size = Size(*self.chance.choice(SIZES))
            self.done.append(f"size {size}")
            self.app.post_message(Resize(size, size))
            await self.pilot.resize_terminal(*size)


async def play(seed: int, actions: int, folder: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Act at random in an app with two finished runs; it must neither end nor raise."""
    monkeypatch.chdir(folder)  # exports and pictures go there
    for name in ("alpha", "beta"):
        finished_run(config, folder / "runs", name, 0.75)

    async def stay(self: ExploreApp) -> None:
        """Leaving is not what is tested."""

    monkeypatch.setattr(ExploreApp, "action_quit", stay)
    monkeypatch.setattr(ExploreApp, "_leave", lambda self: None)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    app = ExploreApp(load_preset("fmnist-28"), folder / "runs", welcome=True)
    monkey: Monkey | None = None
    try:
        async with app.run_test(size=SIZES[0]) as pilot:
            monkey = Monkey(app, pilot, seed)
            for _ in range(actions):
                await monkey.act()
                assert app.is_running
                assert app.screen.focused is None or app.screen.focused.is_attached, "it takes no key any more"
    except BaseException as error:
        error.add_note(f"seed {seed}, after {monkey.done[-30:] if monkey else []}")
        raise


def refuse(*_: Any, **__: Any) -> None:
    """Start no process, as a system that has no room for one."""
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))])
async def test_a_hundred_random_actions(
    seed: int, tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play(seed, 100, tmp_path, config, monkeypatch)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(100, 119))
async def test_five_thousand_random_actions(
    seed: int, tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play(seed, 250, tmp_path, config, monkeypatch)
