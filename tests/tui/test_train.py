"""Train: the form of the planned run, and a watched run; a real worker is started, paused, stopped and resumed."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from alexplore.tui.screens.train import TrainScreen

from alexplore.core.settings import setting_fields
from alexplore.presets.recipe import Recipe
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import list_runs
from alexplore.runs.status import read_status
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.widgets.settings_editor import SettingInput, SettingsEditor
from tests.support.runs import finished_run
from tests.support.screens import form_message, screen_text, until
from tests.tui.conftest import OpenApp


def set_field(app: ExploreApp, name: str, text: str) -> None:
    """Put text into a setting of the form."""
    app.screen.query_one(SettingsEditor).select(name)
    app.screen.query_one(SettingInput).value = text


@pytest.mark.usefixtures("heavy")
async def test_training_from_the_app(open_app: OpenApp, tiny_preset: Path, tmp_path: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen), "Train")
        await until(pilot, lambda: "lr" in screen_text(app), "the form")
        set_field(app, "lr", "fast")
        await until(pilot, lambda: 'lr: found "fast", allowed: a number > 0' in screen_text(app), "the refusal")
        await pilot.press("enter")
        await pilot.pause()
        assert list_runs(tmp_path / "runs") == []
        set_field(app, "lr", "0.01")
        set_field(app, "epochs", "2000")
        set_field(app, "limit_train", "512")
        set_field(app, "limit_val", "128")
        await pilot.press("enter")
        await until(pilot, lambda: bool(list_runs(tmp_path / "runs")), "a run")
        (run,) = list_runs(tmp_path / "runs")
        try:
            assert run.config().recipe.lr == 0.01
            await until(pilot, lambda: bool(re.search(r"validation [01]\.", screen_text(app))), "its accuracy")
            assert "not real ones" in screen_text(app)
            await pilot.press("space")
            await until(pilot, lambda: read_status(run).state == "paused", "a pause")
            await pilot.press("space")
            await until(pilot, lambda: read_status(run).state == "running", "going on")
            await pilot.press("l", "w", "x")
            await until(pilot, lambda: read_status(run).state == "stopped", "a stop")
            stopped = read_status(run).step
            await until(pilot, lambda: "stopped" in screen_text(app), "the screen to say so")
            await pilot.press("r")
            await until(pilot, lambda: read_status(run).step > stopped, "steps after resuming")
            await app.action_quit()
            assert run.name in app.farewell
            assert read_status(run).live
        finally:
            pid = read_status(run).pid
            if pid:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("key", ["f1", "ctrl+p"])
async def test_the_form_of_another_run_stays_when_a_dialog_over_it_closes(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, key: str
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "step 8" in screen_text(app), "the run")
        await pilot.press("n")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        set_field(app, "epochs", "77")
        await pilot.press(key)
        await until(pilot, lambda: app.screen.is_modal, "the dialog")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen), "the screen below")
        await pilot.pause()
        assert app.screen.query_one(SettingsEditor).display
        await until(pilot, lambda: "77" in screen_text(app), "what was typed")

        await pilot.press("escape")
        await until(pilot, lambda: "step 8" in screen_text(app), "the run again")
        await pilot.press("n")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form again")
        app.watch_run(run)
        await until(pilot, lambda: "step 8" in screen_text(app), "the run that is attached anew")


async def test_a_new_form_has_the_focus_on_its_first_setting(
    open_app: OpenApp, config: RunConfig, tiny_preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a form that was left at another setting before a run was shown."""
    monkeypatch.setattr(service, "start", lambda _: None)
    folder = tmp_path / "runs"
    run = finished_run(config, folder, "alpha", 0.75)
    names = list(setting_fields(Recipe))
    async with open_app(str(tiny_preset)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        await pilot.press("tab", "tab")
        app.watch_run(run)
        await until(pilot, lambda: "step 8" in screen_text(app), "the run")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen.focused, SettingInput), "the form to have the keys")
        await until(pilot, lambda: form_message(app).startswith(f"{names[0]}:"), "the first setting")
        await pilot.press(*["tab"] * names.index("epochs"), "9", "9", "enter")
        await until(pilot, lambda: len(list_runs(folder)) == 2, "another run")
        assert {run.config().recipe.epochs for run in list_runs(folder)} == {config.recipe.epochs, 99}


async def test_t_sets_up_the_network_in_explore_also_while_a_run_is_watched(
    open_app: OpenApp, config: RunConfig, tiny_preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "start", lambda _: None)
    folder = tmp_path / "runs"
    run = finished_run(config, folder, "alpha", 0.75)
    async with open_app(str(tiny_preset)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "step 8" in screen_text(app), "the run")
        await pilot.press("1", "y", "t")  # a layer more
        await until(pilot, lambda: "Train tiny (edited)" in screen_text(app), "the form")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the way back")
        await pilot.press("2")
        await until(pilot, lambda: "step 8" in screen_text(app), "the run that is watched")
        await pilot.press("1", "t")
        await until(pilot, lambda: "Train tiny (edited)" in screen_text(app), "the form again")
        await pilot.press("enter")
        await until(pilot, lambda: len(list_runs(folder)) == 2, "another run")
        assert {len(run.config().network.layers) for run in list_runs(folder)} == {5, 6}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_run_that_can_not_be_trained_is_refused_at_its_setting(
    open_app: OpenApp, tmp_path: Path, size: tuple[int, int]
) -> None:
    """The paper's recipe needs a folder of images. No run is created."""
    async with open_app(size=size) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        await pilot.press("enter")
        await until(pilot, lambda: "an image folder has to be named: --data DIR" in form_message(app), "the refusal")
        assert list_runs(tmp_path / "runs") == []
        editor = app.screen.query_one(SettingsEditor)
        line = screen_text(app).splitlines()[editor.query_one(SettingInput).region.y]
        assert "folder " in line
        await pilot.press(*"/nonexistent")
        await pilot.pause()
        assert form_message(app).startswith("folder: folder of the data set")
        await pilot.press("enter")
        await until(pilot, lambda: "/nonexistent" in form_message(app), "another refusal")
        assert list_runs(tmp_path / "runs") == []


async def test_the_form_uses_the_width_of_the_terminal(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "download" in screen_text(app), "the form")
        assert "normalize" in screen_text(app).splitlines()[1]  # 31 settings in two columns
        await pilot.resize_terminal(120, 24)
        await until(pilot, lambda: "seed" in screen_text(app).splitlines()[1], "three columns")
        await pilot.press(*["tab"] * 11)
        place = app.screen.query_one(SettingInput).region
        assert screen_text(app).splitlines()[place.y][: place.x].rstrip().endswith("gamma")


async def test_what_is_set_for_a_run_is_no_edit_of_the_preset(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "start", lambda _: None)
    async with open_app(str(tiny_preset)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        set_field(app, "epochs", "3")
        await pilot.press("enter")
        await until(pilot, lambda: bool(list_runs(tmp_path / "runs")), "a run")
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert "(edited)" not in screen_text(app)
        await pilot.press("t")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form again")
        assert app.state.planned.config().recipe.epochs == 3
        await pilot.press("escape", "q")
        await until(pilot, lambda: not app.is_running, "the end, without a question")


async def test_the_form_shows_the_memory_of_its_own_network(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        papers = str(app.screen.query_one("#recipe").border_subtitle)
        assert papers.startswith("takes 1.8 GiB · ")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        app.explore.open_named(str(tiny_preset))
        await until(pilot, lambda: app.state.session.preset.name == "tiny", "the tiny network")
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen), "the form again")
        await until(pilot, lambda: str(app.screen.query_one("#recipe").border_subtitle) != papers, "another size")
        assert "MiB · enter starts" in str(app.screen.query_one("#recipe").border_subtitle)
