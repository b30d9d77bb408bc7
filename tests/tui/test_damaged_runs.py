"""Runs that somebody else made, or damaged: the app shows what can be shown, and goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.tui.inert_filter import InertFilter
from tests.faults.damage import DEEP
from tests.support.hostile import ACTIVE, HOSTILE, HOSTILE_NAME
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp

STATUS = {"state": "running", "step": 8, "epoch": 2.0, "updated": 1.0}
EVENT = {"v": 1, "seq": 0, "attempt": 0, "time": 1.0}
METRICS = {**EVENT, "step": 1, "epoch": 1.0}

DAMAGES: dict[str, tuple[str, Any]] = {
    "network is a number": ("config.json", {"format": 1, "preset": "x", "network": 3}),
    "config is deep": ("config.json", DEEP),
    "epoch of 400 digits": ("status.json", {**STATUS, "epoch": 10**400}),
    "infinite epoch": ("status.json", '{"state": "running", "step": 1, "epoch": Infinity}'),
    "time of 1e20": ("status.json", {**STATUS, "updated": 1e20}),
    "time of 400 digits": ("status.json", {**STATUS, "updated": 10**400}),
    "status is deep": ("status.json", DEEP),
    "event at 1e20": ("events.jsonl", {**EVENT, "time": 1e20, "event": "warning", "message": "m"}),
    "event at NaN": ("events.jsonl", '{"seq": 0, "time": NaN, "event": "warning", "message": "m"}'),
    "epoch for ever": ("events.jsonl", '{"seq": 0, "event": "epoch", "epoch": 1, "step": 8, "seconds": 1e308}'),
    "metric of 1e308": (
        "metrics.jsonl",
        {**METRICS, "train/loss": 1e308, "val/acc": -1e308, "images_per_second": 1e308},
    ),
    "metric near 0": ("metrics.jsonl", {**METRICS, "train/loss": 5e-324, "val/acc": 5e-324}),
    "epoch of 1e308": ("metrics.jsonl", {**METRICS, "epoch": 1e308, "val/acc": 0.5}),
    "hostile": ("status.json", {**STATUS, "state": "failed", "reason": HOSTILE}),
    "hostile event": ("events.jsonl", {**EVENT, "event": "error", "message": HOSTILE}),
}


def damaged_run(config: RunConfig, folder: Path, number: int, file: str, content: Any) -> RunDirectory:
    """Return a run with one damaged file; its name is hostile."""
    run = finished_run(config, folder, f"run{number}", 0.5)
    (run.path / file).write_text((content if isinstance(content, str) else json.dumps(content)) + "\n")
    run.console_file.write_bytes(HOSTILE.encode(errors="surrogatepass"))
    return RunDirectory(run.path.rename(folder / f"{number}{HOSTILE_NAME}"))


def top_of(text: str) -> str:
    """Return the lines that hold a run's state in Train."""
    return "\n".join(text.splitlines()[1:4])


async def test_damaged_runs_are_listed_marked_and_watched(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    runs = [damaged_run(config, folder, number, *damage) for number, damage in enumerate(DAMAGES.values())]
    finished_run(config, folder, "whole", 0.75)
    async with open_app(size=(160, 50)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "75.0%" in screen_text(app), "the whole run")
        text = screen_text(app)
        assert ACTIVE.search(text) is None
        assert text.count("owned") == len(runs)
        assert text.count(" damaged ") == 5
        for _ in runs:
            await pilot.press("space", "down")
        await until(pilot, lambda: "validation accuracy" in screen_text(app), "the overlay")
        assert ACTIVE.search(screen_text(app)) is None
        for number, run in enumerate(runs):
            app.state.log_loss = number % 2 == 1
            app.watch_run(run)
            await until(pilot, lambda: re.search("·|✗", top_of(screen_text(app))), f"the state of {run.name!r}")
            assert ACTIVE.search(screen_text(app)) is None
        await pilot.press("3")
        await until(pilot, lambda: "75.0%" in screen_text(app), "the list again")


async def test_all_text_goes_through_the_filter(open_app: OpenApp) -> None:
    async with open_app(notifications=True) as (app, pilot):
        assert any(isinstance(one, InertFilter) for one in app.get_line_filters())
        app.notify(HOSTILE, markup=False)
        await until(pilot, lambda: "owned" in screen_text(app), "the notification")
        assert ACTIVE.search(screen_text(app)) is None
