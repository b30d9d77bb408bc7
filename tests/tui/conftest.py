"""The app at the sizes that it promises to work at."""

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
    """Opens the app without a terminal; gives it and what presses its keys. `notifications` are drawn if wanted."""

    @asynccontextmanager
    async def run(
        preset: str = "paper", size: tuple[int, int] = (120, 40), *, notifications: bool = False
    ) -> AsyncIterator[tuple[ExploreApp, Pilot[None]]]:
        app = ExploreApp(load_preset(preset), tmp_path / "runs")
        async with app.run_test(size=size, notifications=notifications) as pilot:
            await pilot.pause()
            yield app, pilot

    return run
