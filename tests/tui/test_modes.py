"""What all screens have in common: the line of modes, the line for outcomes, and the keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.css.stylesheet import Stylesheet
from textual.events import Key
from textual.widgets import Input

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import MetricsLine, metrics_record
from alexplore.runs.status import Status, write_status
from alexplore.tui.screens.dialogs import Choose
from alexplore.tui.widgets.choice_list import Choice
from alexplore.tui.widgets.mode_bar import ModeBar
from alexplore.tui.widgets.setting_pane import SettingPane
from tests.support.runs import finished_run
from tests.support.screens import footer, pane_keys, screen_text, until
from tests.tui.conftest import OpenApp

SIZES = [(60, 20), (80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_every_mode_fits(open_app: OpenApp, config: RunConfig, tmp_path: Path, size: tuple[int, int]) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app(size=size) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "batch size" in screen_text(app), "the form")
        app.watch_run(run)
        await until(pilot, lambda: "FINISHED" in screen_text(app), "the run")
        text = screen_text(app)
        for needed in ("loss", "accuracy", "log", "step 8"):
            assert needed in text, needed
        await pilot.press("3")
        await until(pilot, lambda: "75.0%" in screen_text(app), "the list")


@pytest.mark.parametrize("size", SIZES)
async def test_keys_are_shown_whole_or_not_at_all(open_app: OpenApp, size: tuple[int, int]) -> None:
    """In two lines from 24 lines on; help is among them, also in one line."""
    async with open_app(size=size) as (app, pilot):
        for key, mode in (("1", "Explore"), ("2", "Train"), ("3", "Runs")):
            await pilot.press(key)
            await until(pilot, lambda: f"▌{key} {mode}▐" in screen_text(app), mode)  # noqa: B023
            whole = {
                f"{app.get_key_display(binding)} {binding.description}"
                for _, binding, _, _ in app.screen.active_bindings.values()
            }
            assert {*footer(app)} <= whole
            assert "? help" in footer(app)
            if size[1] >= 24:
                assert {*pane_keys(app)} <= whole
                assert "q quit" in footer(app)


async def test_a_click_on_a_mode_goes_there(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        for column, mode in ((27, "2 Train"), (36, "3 Runs"), (16, "1 Explore")):
            await pilot.click(ModeBar, offset=(column, 0))
            await until(pilot, lambda: f"▌{mode}▐" in screen_text(app), mode)  # noqa: B023


async def test_a_live_run_and_one_that_failed_are_in_the_first_line_of_every_screen(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda run: True)
    run = create_run(config, tmp_path / "runs", "night")
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        for step in (1, 2):
            metrics.append(**metrics_record(MetricsLine(step, step / 2, {"train/loss": 1.0})))
    write_status(run, Status("running", step=2, epoch=1.0, updated=1.0))
    async with open_app() as (app, pilot):
        for key in "123":
            await pilot.press(key)
            await until(pilot, lambda: "● night 50%" in screen_text(app).splitlines()[0], "the run")
        write_status(run, Status("failed", step=2, epoch=1.0, updated=1.0, reason="no space"))
        await pilot.press("1")
        await until(pilot, lambda: "✗ night failed" in screen_text(app).splitlines()[0], "the failure")
        await until(pilot, lambda: "night failed: no space" in screen_text(app), "the reason in the status line")
        app.watch_run(run)
        await until(pilot, lambda: "no run is training" in screen_text(app).splitlines()[0], "that it was seen")


async def test_ctrl_c_closes_the_app_only_when_pressed_twice(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "ctrl+c again closes the app; training" in screen_text(app), "the question")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not app.is_running, "the end")


async def test_ctrl_c_says_that_edits_would_be_lost(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        app.state.session.apply(app.state.session.network.change(0, {"out_channels": 64}))
        await pilot.press("ctrl+c")
        told = f"closes the app, and the edits of {app.state.session.preset.name} are lost"
        await until(pilot, lambda: told in " ".join(screen_text(app).split()), "the warning")


async def test_ctrl_c_copies_a_selection_and_closes_nothing(open_app: OpenApp) -> None:
    """Of a field, and of a value that is being edited."""
    async with open_app() as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: app.screen.query(Input), "the question for a name")
        app.screen.query_one(Input).value = "a name"
        app.screen.query_one(Input).select_all()
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: app.clipboard == "a name", "the copied name")
        await pilot.press("escape", "enter")
        await until(pilot, lambda: app.state.session.editing, "the form")
        await pilot.press("down", "7", "ctrl+c")
        await until(pilot, lambda: "ctrl+c again" in screen_text(app), "nothing is selected")
        pane = app.screen.query_one(SettingPane)
        pane.select("kernel_size")
        pane.list._edit()
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: app.clipboard == "7", "the copied value")
        assert app.is_running


async def test_a_letter_jumps_to_its_pane(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        before = app.screen.focused
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.screen.is_modal, "the letters")
        await pilot.press("a")
        await until(pilot, lambda: not app.screen.is_modal, "the screen below")
        assert app.screen.focused is not None
        assert app.screen.focused is app.screen.focus_chain[0]
        assert app.screen.focused is not before


async def test_the_first_keys_to_other_screens_read_no_style_sheet(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    read: list[str] = []
    really_read = Stylesheet.read

    def noted(sheet: Stylesheet, path: Path) -> None:
        read.append(Path(path).name)
        really_read(sheet, path)

    monkeypatch.setattr(Stylesheet, "read", noted)
    monkeypatch.setattr("alexplore.tui.app.PREPARE_SECONDS", 0.01)
    async with open_app("fmnist-28") as (app, pilot):
        await until(pilot, lambda: {"plan.tcss", "watch.tcss", "runs.tcss"} <= set(read), "the style sheets")
        read.clear()
        await pilot.press("t")
        await until(pilot, lambda: "data set" in screen_text(app), "the form")
        assert "passes over the training images" in screen_text(app)  # it is as wide as without the other style sheets
        await pilot.press("3")
        await until(pilot, lambda: "75.0%" in screen_text(app), "the runs")
        app.watch_run(run)
        await until(pilot, lambda: "FINISHED" in screen_text(app), "the run")
        assert not read or read == ["inside.tcss"]
        await until(pilot, lambda: read == ["inside.tcss"], "what a key leads to")
        await pilot.press("v")
        await until(pilot, lambda: "Mistakes" in screen_text(app), "Inside")
        assert read == ["inside.tcss"]


async def test_a_dialog_that_is_closed_twice_closes_nothing_else(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "batch size" in screen_text(app), "the form")
        below = app.screen
        dialog = Choose("Which?", [Choice("one", "one"), Choice("two", "two")])
        app.push_screen(dialog)
        await until(pilot, lambda: "Which?" in screen_text(app), "the dialog")
        for key in ("enter", "escape"):  # at once: what Enter chose is still on its way when Escape closes
            app.post_message(Key(key, None))
        await until(pilot, lambda: not dialog.is_attached, "the dialog to close")
        await pilot.pause()
        assert app.screen is below
