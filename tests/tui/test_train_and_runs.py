"""Train and Runs: a real worker is started, watched, paused, stopped and resumed; runs are listed, marked, forked."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, RichLog

from alexplore.core.settings import setting_fields
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.lines import LineWriter
from alexplore.runs.messages import summary_cells
from alexplore.runs.status import Status, read_status, write_status
from alexplore.runs.watch import Watch, summarise
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens import runs, train
from alexplore.tui.screens.dialogs import Confirm
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.train import Drawing, Polled, TrainScreen
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.settings_editor import SettingInput, SettingsEditor
from tests.support.runs import finished_run
from tests.support.screens import footer, form_message, screen_text, until
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


async def test_a_worker_that_dies_is_told(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs")
    write_status(run, Status("running", pid=1, step=7, epoch=0.5, updated=1.0))
    run.console_file.write_text("Segmentation fault\n")
    async with open_app() as (app, pilot):
        app.attach(run)
        await until(pilot, lambda: "crashed" in screen_text(app), "the crash")
        await until(pilot, lambda: bool(app.screen.query_one(RichLog).lines), "the log")
        assert "Segmentation fault" in screen_text(app)


@pytest.mark.parametrize("key", ["f1", "ctrl+p"])
async def test_the_form_of_another_run_stays_when_a_dialog_over_it_closes(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, key: str
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        app.attach(run)
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
        app.attach(run)
        await until(pilot, lambda: "step 8" in screen_text(app), "the run that is attached anew")


async def test_a_new_form_takes_the_keys_from_its_first_setting_on(
    open_app: OpenApp, config: RunConfig, tiny_preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that was filled, and left at another setting, before a run was shown."""
    monkeypatch.setattr(train, "launch", lambda _: None)
    folder = tmp_path / "runs"
    run = finished_run(config, folder, "alpha", 0.75)
    names = list(setting_fields(Recipe))
    async with open_app(str(tiny_preset)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        await pilot.press("tab", "tab")
        app.attach(run)
        await until(pilot, lambda: "step 8" in screen_text(app), "the run")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen.focused, SettingInput), "the form to have the keys")
        await until(pilot, lambda: form_message(app).startswith(f"{names[0]}:"), "the first setting")
        await pilot.press(*["tab"] * names.index("epochs"), "9", "9", "enter")
        await until(pilot, lambda: len(list_runs(folder)) == 2, "another run")
        assert {run.config().recipe.epochs for run in list_runs(folder)} == {config.recipe.epochs, 99}


async def test_the_log_is_as_wide_as_its_panel(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also of a run that begins after the form had its place, and in a terminal of another width."""
    run = create_run(config, tmp_path / "runs", "alpha")
    write_status(run, Status("running", pid=os.getpid(), updated=time.time()))
    words = "words that take a whole line of the log, without its time"
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        app.attach(run)
        with LineWriter(run.events_file, attempt=0) as events:
            events.append(event="warning", message=words)
        await until(pilot, lambda: words in screen_text(app), "the line")
        await pilot.resize_terminal(60, 24)
        await until(pilot, lambda: "without its time" in screen_text(app), "the line's end")
        assert words not in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: words in screen_text(app), "the line again")


async def test_a_late_word_of_the_run_watched_before_is_not_drawn(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    before = finished_run(config, tmp_path / "runs", "before", 0.75)
    with LineWriter(before.events_file, attempt=0) as events:
        events.append(event="warning", message="of the run before")
    now = finished_run(config, tmp_path / "runs", "now", 0.875)
    late = Polled(Watch(before).poll(), Drawing())
    async with open_app() as (app, pilot):
        app.attach(now)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the log")
        app.screen.post_message(late)
        await pilot.pause()
        with LineWriter(now.events_file, attempt=0) as events:
            events.append(event="warning", message="of this run")
        await until(pilot, lambda: "of this run" in screen_text(app), "the run's own word")
        assert "of the run before" not in screen_text(app)


async def test_a_run_that_can_not_be_read_is_told_with_nothing_of_the_run_before(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    before = finished_run(config, tmp_path / "runs", "before", 0.75)
    damaged = finished_run(config, tmp_path / "runs", "damaged", 0.875)
    damaged.config_file.write_text("{")
    async with open_app(size=(200, 40)) as (app, pilot):
        app.attach(damaged)
        await until(pilot, lambda: f"✗ {damaged.config_file}: not valid JSON" in screen_text(app), "what is wrong")
        await pilot.pause()
        alone = screen_text(app)
    async with open_app(size=(200, 40)) as (app, pilot):
        app.attach(before)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the run before")
        app.attach(damaged)
        await until(pilot, lambda: screen_text(app) == alone, "the same screen")
        await pilot.press("l", "w")
        await pilot.pause()
        assert screen_text(app) == alone
        app.attach(before)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the run that can be read")


async def test_nothing_of_the_run_before_is_shown_until_a_run_is_read(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = finished_run(config, tmp_path / "runs", "before", 0.75)
    now = finished_run(config, tmp_path / "runs", "now", 0.875)
    readable = threading.Event()

    def slow(run: RunDirectory) -> Watch:
        if run == now:
            readable.wait()
        return Watch(run)

    monkeypatch.setattr(train, "Watch", slow)
    async with open_app() as (app, pilot):
        app.attach(before)
        await until(pilot, lambda: "validation 0.7500" in screen_text(app), "the run before")
        app.attach(now)
        try:
            await until(pilot, lambda: " now " in screen_text(app), "the title")
            await pilot.pause()
            text = screen_text(app)
            assert "step 8" not in text
            assert "epoch 2" not in text
            assert "validation" not in text
        finally:
            readable.set()
        await until(pilot, lambda: "validation 0.8750" in screen_text(app), "the run")


async def test_runs_are_listed_filtered_marked_attached_and_forked(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    finished_run(config, folder, "alpha", 0.75)
    finished_run(config, folder, "beta", 0.875)
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "0.8750" in screen_text(app), "the list")
        table = app.screen.query_one(DataTable)
        assert table.row_count == 2

        await pilot.press("space", "down", "space")
        await until(pilot, lambda: "validation accuracy" in screen_text(app), "the overlay")
        assert {"●", "▲"} <= set(screen_text(app))

        await pilot.press("slash", *"alpha")
        await until(pilot, lambda: table.row_count == 1, "the filter")
        app.screen.query_one(Input).value = ""
        await pilot.press("enter")
        await until(pilot, lambda: table.row_count == 2, "all runs again")

        await pilot.press("x")
        await pilot.pause()
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the fork")
        assert app.workspace.network == config.network
        assert app.workspace.preset.recipe == config.recipe
        await until(pilot, lambda: "tiny · from alpha" in screen_text(app), "its title")
        text = screen_text(app)
        assert "1×28×28" in text
        assert "4×28×28" in text  # of its convolution, which keeps the image's size
        assert "7,890 params" in text  # 4·(3·3 + 1) and 10·(4·14·14 + 1)

        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list again")
        await pilot.press("enter")
        await until(pilot, lambda: "finished" in screen_text(app) and "100%" in screen_text(app), "the run")


async def test_the_list_has_the_cells_of_the_command_line(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also of a run that nothing was heard of yet."""
    run = create_run(config, tmp_path / "runs", "alpha")
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "alpha" in screen_text(app), "the list")
        cells = app.screen.query_one(DataTable).get_row(run.name)
        assert tuple(str(cell) for cell in cells) == (" ", *summary_cells(summarise(run)))


async def test_the_name_of_a_run_is_shown_as_it_is(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Wherever it stands: what is in brackets is no markup."""
    name = "[red]x"
    finished_run(config, tmp_path / "runs", name, 0.75)
    async with open_app(notifications=True) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "0.7500" in screen_text(app), "the list")
        assert screen_text(app).count(name) == 1
        await pilot.press("slash", *name, "enter")
        await until(pilot, lambda: screen_text(app).count(name) == 2, "the filter and the run")
        await pilot.press("space")
        await until(pilot, lambda: screen_text(app).count(name) == 3, "the legend of its curve")
        await pilot.press("r")
        await until(pilot, lambda: f"{name} is finished" in screen_text(app), "a notification in the list")
        app.clear_notifications()
        await pilot.press("delete")
        await until(pilot, lambda: f"Delete {name}" in screen_text(app), "the question")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list again")
        await pilot.press("enter")
        await until(pilot, lambda: "step 8" in screen_text(app), "the run")
        assert screen_text(app).splitlines()[0].count(name) == 1
        await pilot.press("r")
        await until(pilot, lambda: f"{name} is finished" in screen_text(app), "a notification beside the run")


async def test_the_list_goes_on_when_the_folder_can_be_read_again(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)

    answers = iter([RunError("the server is away")])

    def away_at_first(folder: Path) -> list[RunDirectory]:
        for error in answers:
            raise error
        return list_runs(folder)

    monkeypatch.setattr(runs, "list_runs", away_at_first)
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "alpha" in screen_text(app), "the list")


async def test_a_fork_leaves_edits_only_after_a_yes_and_begins_at_the_first_layer(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await pilot.press("end", "y", "3")
        edited = app.workspace.network
        await until(pilot, lambda: "alpha" in screen_text(app), "the list")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list below")
        assert app.workspace.network == edited
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question again")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the fork")
        layers = app.screen.query_one(LayerTable)
        assert layers.cursor == 0
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.screen.query_one("#editor").display, "the form of a layer")
        assert layers.cursor == len(config.network.layers) - 1


async def ask_to_delete(app: ExploreApp, pilot: Pilot[None], run: str) -> None:
    await pilot.press("3")
    await until(pilot, lambda: run in screen_text(app), "the list")
    await pilot.press("delete")
    await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")


async def test_a_run_is_deleted_only_after_a_yes(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await ask_to_delete(app, pilot, "alpha")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list below")
        assert run.path.exists()
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question again")
        await pilot.press("y")
        await until(pilot, lambda: not run.path.exists(), "the deletion")
        await until(pilot, lambda: "No runs yet" in screen_text(app), "the empty list")


async def test_a_run_that_starts_while_its_deletion_is_asked_about_stays(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await ask_to_delete(app, pilot, "alpha")
        run.status_file.unlink()  # as of a run that was just launched, whose worker has not said anything yet
        await pilot.press("y")
        await until(pilot, lambda: bool(app._notifications) or not run.path.exists(), "an answer")
        assert run.path.exists()
        assert "being trained" in next(iter(app._notifications)).message


async def test_the_footer_has_seven_keys_at_most(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        assert footer(app)[-1].endswith(" Help")
        assert len(footer(app)) <= 7
        app.attach(run)
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
        await until(pilot, lambda: "batch_size" in screen_text(app), "the form")
        app.attach(run)
        await until(pilot, lambda: "finished" in screen_text(app), "the run")
        text = screen_text(app)
        for needed in ("loss", "accuracy", "log", "step 8", "? Help"):
            assert needed in text, needed
        await pilot.press("3")
        await until(pilot, lambda: "0.7500" in screen_text(app), "the list")
