"""What all three modes have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from tests.support.runs import finished_run
from tests.support.screens import footer, screen_text, until
from tests.tui.conftest import OpenApp


async def test_the_footer_has_seven_keys_at_most(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch size" in screen_text(app), "the form")
        assert footer(app)[-1].endswith(" Help")
        assert len(footer(app)) <= 7
        app.watch_run(run)
        await until(pilot, lambda: "x Stop" in footer(app), "the run's keys")
        assert footer(app)[-1].endswith(" Help")
        assert len(footer(app)) <= 7
        await pilot.press("3")
        await until(pilot, lambda: "f Fork" in footer(app), "the list's keys")
        assert footer(app)[-1].endswith(" Help")
        assert len(footer(app)) <= 7


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40)])
async def test_every_mode_fits(open_app: OpenApp, config: RunConfig, tmp_path: Path, size: tuple[int, int]) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app(size=size) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch size" in screen_text(app), "the form")
        app.watch_run(run)
        await until(pilot, lambda: "finished" in screen_text(app), "the run")
        text = screen_text(app)
        for needed in ("loss", "accuracy", "log", "step 8", "? Help"):
            assert needed in text, needed
        await pilot.press("3")
        await until(pilot, lambda: "0.7500" in screen_text(app), "the list")
