"""Exporting a run from Train and from Runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from alexplore.export.run_formats import RUN_FORMATS
from alexplore.runs.config import RunConfig
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens.dialogs import Ask, Choose, Confirm
from alexplore.tui.widgets.status_line import StatusLine
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


def status(app: ExploreApp) -> str:
    return app.screen.query_one(StatusLine).message


async def export(app: ExploreApp, pilot: Pilot[None], to: str) -> None:
    """Export the shown run in a format, to where it is suggested."""
    await pilot.press("s")
    await until(pilot, lambda: isinstance(app.screen, Choose), "the formats")
    await pilot.press("slash", *to, "enter")
    await until(pilot, lambda: isinstance(app.screen, Ask), "where to write")
    await pilot.press("enter")


async def test_a_run_is_exported_in_every_format(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app("lenet") as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "75.0%" in screen_text(app), "the run")
        for to in RUN_FORMATS:
            await export(app, pilot, to)
            await until(pilot, lambda: status(app).startswith(f"Wrote {tmp_path}/alpha"), to)
            app.notify("-")
            await until(pilot, lambda: status(app) == "-", "another outcome")
    with (tmp_path / "alpha.csv").open() as file:
        assert [row["val/acc"] for row in csv.DictReader(file) if row["val/acc"]] == ["0.75"]
    assert next(path.name for path in (tmp_path / "alpha-tensorboard").iterdir()).startswith("events.out.tfevents")
    assert (tmp_path / "alpha.json").read_text().startswith('{"run": "alpha"')
    assert "<html" in (tmp_path / "alpha.html").read_text()


async def test_a_watched_run_is_exported_and_a_file_is_not_replaced_unasked(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    (tmp_path / "alpha.csv").write_text("mine")
    async with open_app("lenet") as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "s exports" in screen_text(app), "the next steps")
        await export(app, pilot, "csv")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("enter")
        await until(pilot, lambda: not app.screen.is_modal, "the answer no")
        assert (tmp_path / "alpha.csv").read_text() == "mine"


async def test_what_is_typed_after_enter_is_no_part_of_the_answer(open_app: OpenApp) -> None:
    """On a slow machine, keys for the next dialog were added to the answer of this one."""
    answers: list[str | None] = []
    async with open_app() as (app, pilot):
        await app.push_screen(Ask("Epochs", "3"), answers.append)
        field = app.screen.query_one(Input)
        field.post_message(Input.Submitted(field, "3"))
        field.value = "34"
        await until(pilot, lambda: answers, "the answer")
    assert answers == ["3"]
