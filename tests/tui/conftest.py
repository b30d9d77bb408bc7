"""Fixtures that open the app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp

OpenApp = Callable[..., AbstractAsyncContextManager[tuple[ExploreApp, Pilot[None]]]]


@pytest.fixture
def open_app(tmp_path: Path) -> OpenApp:
    """Return what opens the app without a terminal and yields it with its pilot; `notifications` are off by default."""

    @asynccontextmanager
    async def run(
        preset: str = "paper", size: tuple[int, int] = (120, 40), *, notifications: bool = False
    ) -> AsyncIterator[tuple[ExploreApp, Pilot[None]]]:
        app = ExploreApp(load_preset(preset), tmp_path / "runs")
        async with app.run_test(size=size, notifications=notifications) as pilot:
            await pilot.pause()
            yield app, pilot

    return run
