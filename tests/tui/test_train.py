"""Train as a whole: a real worker is started from the form, paused, stopped and resumed from the screen of its run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from alexplore.runs.directory import list_runs
from alexplore.runs.status import read_status
from alexplore.tui.screens.plan import PlanScreen
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.widgets.setting_pane import SettingPane
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


@pytest.mark.usefixtures("heavy")
async def test_training_from_the_app(open_app: OpenApp, tiny_preset: Path, tmp_path: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
        for name, text in {"lr": "0.01", "epochs": "2000", "limit_train": "512", "limit_val": "128"}.items():
            app.screen.query_one(SettingPane).select(name)
            await pilot.press("enter", *text, "enter")
        await pilot.press("f5")
        await until(pilot, lambda: bool(list_runs(tmp_path / "runs")), "a run")
        (run,) = list_runs(tmp_path / "runs")
        try:
            assert run.name == "tiny-1"
            config = run.config()
            assert (config.recipe.lr, config.recipe.epochs, config.data.limit_train) == (0.01, 2000, 512)
            await until(pilot, lambda: isinstance(app.screen, WatchScreen), "the screen of the run")
            await until(pilot, lambda: read_status(run).step > 4, "steps")
            await pilot.press("space")
            await until(pilot, lambda: read_status(run).state == "paused", "a pause")
            await pilot.press("space")
            await until(pilot, lambda: read_status(run).state == "running", "going on")
            await pilot.press("x")
            await until(pilot, lambda: read_status(run).state == "stopped", "a stop")
            stopped = read_status(run).step
            # The log may say it a moment before the state does, which the keys depend on.
            await until(pilot, lambda: "STOPPED" in screen_text(app), "the state on the screen")
            await pilot.press("r")
            await until(pilot, lambda: read_status(run).step > stopped, "steps after resuming")
            await app.action_quit()
            assert run.name in app.exit_message
            assert read_status(run).live
        finally:
            pid = read_status(run).pid
            if pid:
                os.kill(pid, signal.SIGKILL)
