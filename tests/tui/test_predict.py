"""Predict and evaluate in the app, with a network that was trained for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from alexplore.runs.directory import find_run
from alexplore.tui.screens.browse import Browse, PathInput
from alexplore.tui.screens.predict import PredictScreen
from alexplore.tui.screens.report import EvaluationScreen
from tests.support.processes import Alexplore
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


@pytest.mark.usefixtures("heavy")
async def test_an_image_is_classified_drawn_and_inverted_and_the_run_evaluated(
    open_app: OpenApp, alexplore: Alexplore, tiny_preset: Path, tmp_path: Path
) -> None:
    limits = ("--limit-train", "256", "--limit-val", "128", "--epochs", "1", "--device", "cpu")
    done = alexplore("train", "--preset", str(tiny_preset), *limits, "--name", "tried")
    assert done.returncode == 0, done.stderr
    Image.linear_gradient("L").resize((28, 28)).save(tmp_path / "mine.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    run = find_run("tried", tmp_path / "runs")
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "FINISHED  tried" in screen_text(app), "the run")
        await pilot.press("e")
        await until(pilot, lambda: "evaluated on 128 validation images" in screen_text(app), "the accuracy")
        assert isinstance(app.screen, EvaluationScreen)
        assert "calibration error" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "FINISHED  tried" in screen_text(app), "the run again")
        await pilot.press("i")
        for name, shown in (("mine.png", "✓ 1 image classified"), ("broken.png", "✗ ")):
            await until(pilot, lambda: isinstance(app.screen, Browse), "the browser")
            app.screen.query_one(PathInput).value = str(tmp_path / name)
            app.screen.query_one(PathInput).focus()
            await pilot.press("enter")
            await until(pilot, lambda: shown in screen_text(app), "what came of it")  # noqa: B023
            assert sum(screen_text(app).count(block) for block in "▀▄") > 28  # the image, in half blocks
            await pilot.press("i" if name == "mine.png" else "v")
        await until(pilot, lambda: "broken.png: not an image" in screen_text(app), "the reason")
        assert isinstance(app.screen, PredictScreen)
        await pilot.press("escape")
        await until(pilot, lambda: "FINISHED  tried" in screen_text(app), "the run again")
