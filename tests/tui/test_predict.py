"""Predict and evaluate in the app, with a network that was trained for a moment."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.predictions import Prediction
from alexplore.runs.status import Status, write_status
from alexplore.tui.screens.browse import Browse, PathInput
from alexplore.tui.screens.predict import Finished, Predicted, PredictScreen
from alexplore.tui.screens.report import EvaluationScreen
from tests.support.screens import screen_text, until
from tests.support.training import train_here
from tests.tui.conftest import OpenApp


@pytest.mark.usefixtures("heavy")
async def test_an_image_is_classified_drawn_and_inverted_and_the_run_evaluated(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    recipe = replace(config.recipe, epochs=1)
    limits = DataSource(limit_train=256, limit_val=128)
    run = create_run(replace(config, recipe=recipe, data=limits), tmp_path / "runs", "tried")
    assert train_here(run) == "finished"
    Image.linear_gradient("L").resize((28, 28)).save(tmp_path / "mine.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    async with open_app(size=(80, 24)) as (app, pilot):
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
            assert re.search("[▀▄]{10}", screen_text(app))
            await pilot.press("i" if name == "mine.png" else "v")
        await until(pilot, lambda: "not an image that Pillow knows" in screen_text(app), "the reason")
        assert isinstance(app.screen, PredictScreen)
        await pilot.press("escape")
        await until(pilot, lambda: "FINISHED  tried" in screen_text(app), "the run again")


@pytest.mark.parametrize("key", ["e", "i"])
async def test_a_run_without_weights_says_so(open_app: OpenApp, config: RunConfig, tmp_path: Path, key: str) -> None:
    run = create_run(config, tmp_path / "runs", "fresh")
    write_status(run, Status("failed", step=3, reason="out of memory", updated=time.time()))
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "FAILED  fresh" in screen_text(app), "the run")
        await pilot.press(key)
        await until(pilot, lambda: "fresh has no weights yet" in screen_text(app), "the reason")
        assert "FAILED  fresh" in screen_text(app)


async def test_what_an_earlier_classification_says_does_not_count(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is ended by `v`, but its last messages may be on their way."""
    monkeypatch.setattr(PredictScreen, "_predict", lambda *_: None)
    run = create_run(config, tmp_path / "runs", "tried")
    async with open_app() as (app, pilot):
        await app.push_screen(screen := PredictScreen(run))
        await until(pilot, lambda: isinstance(app.screen, Browse), "the browser")
        await pilot.press("escape")
        screen._images.ask(tmp_path / "mine.png")
        await pilot.press("v")
        for message in (Predicted(Prediction("mine.png", (("cat", 1.0),)), 0), Finished("", 0)):
            screen.post_message(message)
        await pilot.pause()
        assert "classifying … the negatives" in screen_text(app)
        for message in (Predicted(Prediction("mine.png", (("dog", 1.0),)), 1), Finished("", 1)):
            screen.post_message(message)
        await until(pilot, lambda: "✓ 1 negative classified" in screen_text(app), "the result")
