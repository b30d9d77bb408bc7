"""Runs: the list, the overlay of marked runs, forks and deletions."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.lines import LineWriter
from alexplore.runs.messages import summary_cells
from alexplore.runs.status import Status, write_status
from alexplore.runs.summary import RunList
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens import runs
from alexplore.tui.screens.dialogs import Confirm
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.widgets.layer_table import LayerTable
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


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
        assert app.state.session.network == config.network
        assert app.state.session.preset.recipe == config.recipe
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
    """Also for a run without a status."""
    run = create_run(config, tmp_path / "runs", "alpha")
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "alpha" in screen_text(app), "the list")
        cells = app.screen.query_one(DataTable).get_row(run.name)
        assert tuple(str(cell) for cell in cells) == (" ", *summary_cells(RunList().summarise([run])[0]))


async def test_the_name_of_a_run_is_shown_as_it_is(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Wherever the app shows it: brackets are not read as markup."""
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


async def test_the_list_recovers_when_the_folder_can_be_read_again(
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


async def test_a_fork_asks_about_edits_and_selects_the_first_layer(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await pilot.press("end", "y", "3")
        edited = app.state.session.network
        await until(pilot, lambda: "alpha" in screen_text(app), "the list")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list below")
        assert app.state.session.network == edited
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


async def test_a_run_is_deleted_only_after_a_confirmation(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
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


async def test_a_run_that_starts_during_the_question_is_not_deleted(
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


async def test_the_overlay_follows_the_marked_runs(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also a run that had no epoch when it was marked."""
    run = create_run(config, tmp_path / "runs", "alpha")
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "alpha" in screen_text(app), "the list")
        await pilot.press("space")
        await until(pilot, lambda: "● alpha · no epoch yet" in screen_text(app), "the legend")

        async def validate(epoch: int, accuracy: float) -> None:
            with LineWriter(run.metrics_file, attempt=0) as writer:
                writer.append(step=4 * epoch, epoch=epoch, **{"val/acc": accuracy})
            drawn = 2 + epoch  # in the table, in the legend, and one for each epoch
            await until(pilot, lambda: screen_text(app).count("●") == drawn, f"epoch {epoch}")

        await validate(1, 0.8589)
        await validate(2, 0.8846)
        await validate(3, 0.8947)
        assert "no epoch yet" not in screen_text(app)
        await pilot.press("space")
        await until(pilot, lambda: "●" not in screen_text(app), "no overlay")


async def test_the_legend_hides_no_point(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also in a small terminal with long names. Each run has one point, at its second epoch."""
    names = [f"fmnist-28-20261126-18434{number}-624ca1" for number in range(3)]
    for number, name in enumerate(names):
        finished_run(config, tmp_path / "runs", name, 0.5 + number / 10)
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: names[2] in screen_text(app), "the list")
        await pilot.press("space", "down", "space", "down", "space")
        await until(pilot, lambda: all(screen_text(app).count(marker) == 3 for marker in "●▲■"), "all points")
        plot = app.screen.query_one("#overlay").region
        drawn = "\n".join(screen_text(app).splitlines()[plot.y : plot.bottom])
        assert all(drawn.count(marker) == 1 for marker in "●▲■")


async def test_cells_are_whole_after_they_change(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "alpha")
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "starting" in screen_text(app), "the list")
        with LineWriter(run.metrics_file, attempt=0) as writer:
            writer.append(step=1, epoch=0.25, images_per_second=1234567.0, **{"train/loss": 123.4567})
        write_status(run, Status("stopped", step=1, epoch=0.25, updated=time.time() - 3723))
        await until(pilot, lambda: "1:02:0" in screen_text(app), "the last cell")
        await pilot.pause()
        for cell in ("stopped", "0.25", "123.4567", "1,234,567"):
            assert cell in screen_text(app), cell
        assert "1:02:03 ago" in screen_text(app) or "1:02:04 ago" in screen_text(app)
