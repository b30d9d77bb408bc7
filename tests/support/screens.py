"""What a Textual app under test shows, and waiting for it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from alexplore.tui.widgets.setting_pane import SettingPane
from tests.support.waiting import PATIENCE

LEAST_SLEEP, MOST_SLEEP = 0.01, 0.1  # seconds between two looks at an app


def screen_text(app: App[Any]) -> str:
    """Return all lines of the screen."""
    width, _ = app.size
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join(line.text[:width] for line in lines)


def footer(app: App[Any]) -> list[str]:
    """Return the keys in the last line, each with its description."""
    return re.split(r"\s{2,}", screen_text(app).splitlines()[-1].strip())


def pane_keys(app: App[Any]) -> list[str]:
    """Return the keys of the focused pane and its screen, in the line before the last, each with its description."""
    return re.split(r"\s{2,}", screen_text(app).splitlines()[-2].strip())


def form_message(app: App[Any]) -> str:
    """Return the message below the form."""
    return app.screen.query_one(SettingPane).help.text


async def type_into(pilot: Pilot[None], app: App[Any], name: str, text: str) -> None:
    """Replace the text of a setting in the open form."""
    app.screen.query_one(SettingPane).select(name)
    await pilot.pause()
    await pilot.press("backspace", *text)
    await pilot.pause()


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds in an app under test; `pilot.pause()` alone returns early on a busy machine.

    Fails the test after `PATIENCE` seconds with `what` was waited for and the screen's text.
    """
    started = time.monotonic()
    await pilot.pause()
    while not condition():
        waited = time.monotonic() - started
        if waited > PATIENCE:
            pytest.fail(f"{what}: not within {PATIENCE:.0f} s\n{screen_text(pilot.app)}")
        await asyncio.sleep(min(max(LEAST_SLEEP, waited / 10), MOST_SLEEP))  # leaves the processor to what it waits for
        await pilot.pause()
