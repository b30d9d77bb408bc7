"""Runs: the list, its filter and order, the marked runs, and what is done to a run."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from alexplore.runs import service
from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.lines import LineWriter
from alexplore.runs.notes import read_note, write_note
from alexplore.runs.queue import Queue
from alexplore.runs.status import Status, write_status
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens import runs
from alexplore.tui.screens.dialogs import Ask, Confirm
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.plan import PlanScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.widgets.curves import Curves
from alexplore.tui.widgets.run_table import RunTable
from alexplore.tui.widgets.status_line import StatusLine
from tests.support.runs import finished_run
from tests.support.screens import pane_keys, screen_text, until
from tests.tui.conftest import OpenApp


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the screen find out sooner what changed."""
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.1)


def table(app: ExploreApp) -> RunTable:
    return app.screen.query_one(RunTable)


def told(app: ExploreApp) -> str:
    """What the status line says."""
    return app.screen.query_one(StatusLine).message


def row(app: ExploreApp, name: str) -> str:
    """The line of a run in the table."""
    return next(line for line in screen_text(app).splitlines()[2:] if name in line)


async def open_runs(app: ExploreApp, pilot: Pilot[None], count: int) -> None:
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, RunsScreen) and table(app).line_count == count, "the list")


async def test_a_run_is_marked_forked_and_opened(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        assert "75.0%" in row(app, "alpha")
        await pilot.press("space")
        await until(pilot, lambda: "validation accuracy" in screen_text(app), "the overlay")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the fork")
        assert app.state.session.network == config.network
        assert app.state.session.preset.recipe == config.recipe
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list again")
        await pilot.press("enter")
        await until(pilot, lambda: app.state.watched is not None, "the run")
        assert app.state.watched is not None and app.state.watched.run.name == "alpha"


async def test_names_are_shown_as_they_are(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Wherever the screen shows them: brackets are not read as markup."""
    name = "[red]x"
    finished_run(config, tmp_path / "runs", name, 0.75)
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        assert screen_text(app).count(name) >= 2  # the table, and the title of the details
        await pilot.press("space")
        await until(pilot, lambda: f"75.0% {name}" in screen_text(app), "its curve")
        await pilot.press("r")
        await until(pilot, lambda: f"{name} is finished" in told(app), "an outcome")
        await pilot.press("delete")
        await until(pilot, lambda: f"Delete {name}" in screen_text(app), "the question")


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
        await open_runs(app, pilot, 1)


# Columns


async def test_cells_are_whole_after_they_change(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "alpha")
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        with LineWriter(run.metrics_file, attempt=0) as writer:
            writer.append(step=1, epoch=0.25, images_per_second=1234567.0, **{"train/loss": 123.4567})
        write_status(run, Status("stopped", step=1, epoch=0.25, updated=time.time() - 3723))
        await until(pilot, lambda: "1 h" in row(app, "alpha"), "the last cell")
        assert row(app, "alpha").split()[1:] == [
            "alpha", "tiny", "synthetic", "■", "stopped", "█░░░░░░░░░", "0.25/2", "–", "–", "123.457", "1,234,567", "1",
            "h", "┃",
        ]  # fmt: skip


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40)])
async def test_columns_are_left_out_whole(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, size: tuple[int, int]
) -> None:
    finished_run(config, tmp_path / "runs", "fmnist-28-20261126-184340-624ca1", 0.75)
    async with open_app(size=size) as (app, pilot):
        await open_runs(app, pilot, 1)
        line = row(app, "624ca1")
        shown = set(table(app).widths)
        for title, text in (("state", "✓ finished"), ("epoch", "2.00/2"), ("best", "75.0%"), ("loss", "0.125")):
            assert (text in line) == (title in shown)
        assert {"run", "state", "epoch", "best"} <= shown
        assert ("images/s" in shown) == (size[0] == 120)


async def test_a_wide_table_shows_recipes_and_notes_and_has_room_between_columns(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    write_note(finished_run(config, tmp_path / "runs", "beta", 0.85), "with a smaller stride in conv1 and conv2")
    async with open_app(size=(200, 60)) as (app, pilot):
        await open_runs(app, pilot, 2)
        line = row(app, "beta")
        recipe = config.recipe
        assert f"{recipe.optimizer} {recipe.lr:g} {recipe.schedule} · batch {recipe.batch_size}" in line
        assert "with a smaller stride in conv1 and conv2" in line
        assert "2.00/2  ★ 85.0%  85.0%" in line
        titles = screen_text(app).splitlines()[2]
        await pilot.click(RunTable, offset=(titles.index("best") - 1, 0))
        await until(pilot, lambda: app.screen.listed.order.column == "best", "the order of the clicked title")  # type: ignore[attr-defined]
    async with open_app(size=(140, 40)) as (app, pilot):
        await open_runs(app, pilot, 2)
        assert sum(table(app).widths.values()) + table(app).gap * len(table(app).widths) <= 138


async def test_states_have_their_own_colours(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    states = ("stopped", "finished", "failed")
    for state in states:
        run = create_run(config, tmp_path / "runs", state)
        write_status(run, Status(state, updated=time.time()))
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 3)
        colours = set()
        for index in range(3):
            strip = table(app).line_strip(index, False, 118)
            colours |= {
                segment.style.color for segment in strip if segment.style and any(s in segment.text for s in states)
            }
        assert len(colours - {table(app).style().color}) == 3


async def test_the_best_run_of_a_data_set_has_a_star(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    finished_run(config, tmp_path / "runs", "beta", 0.85)
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 2)
        assert "★ 85.0%" in row(app, "beta")
        assert "★" not in row(app, "alpha")
        assert row(app, "alpha").index("75.0%") == row(app, "beta").index("85.0%")  # numbers are at the right


# What waits in the queue


async def test_waiting_runs_are_listed_moved_and_taken_out(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    queue = Queue(tmp_path / "runs")
    for name in ("beta", "gamma"):
        queue.add(config, name)

    def waiting() -> list[str]:
        return [item.name for item in queue.waiting()]

    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 3)
        assert "○ waiting" in row(app, "gamma")
        await pilot.press("home", "down")
        await until(pilot, lambda: "place 2" in screen_text(app), "what is known of it")
        assert "K sooner" in pane_keys(app)
        assert not {"e evaluate", "r resume"} & set(pane_keys(app))
        await pilot.press("enter")
        await until(pilot, lambda: "gamma was not started yet" in screen_text(app), "nothing to watch")
        await pilot.press("K")
        await until(pilot, lambda: waiting() == ["gamma", "beta"], "the other order")
        await until(pilot, lambda: "place 1" in screen_text(app), "its new place")
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("enter")
        await pilot.pause()
        assert waiting() == ["gamma", "beta"]
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("y")
        await until(pilot, lambda: waiting() == ["beta"], "gamma taken out")
        await until(pilot, lambda: table(app).line_count == 2, "the list without it")


# Order, groups and filter


async def test_a_key_and_a_click_sort(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    for name, accuracy in (("alpha", 0.9), ("beta", 0.7), ("gamma", 0.8)):
        finished_run(config, tmp_path / "runs", name, accuracy)

    def order() -> list[str]:
        return [line.run.name for line in table(app).lines]  # type: ignore[union-attr]

    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 3)
        assert order() == ["gamma", "beta", "alpha"]
        await pilot.press("down", "o")
        assert order() == ["alpha", "gamma", "beta"]
        selected = table(app).selected
        assert selected is not None and selected.run.name == "beta"
        assert "best▾" in screen_text(app)
        await pilot.press("O")
        assert order() == ["beta", "gamma", "alpha"]
        line = next(text for text in screen_text(app).splitlines() if " run " in text and "state" in text)
        await pilot.click(RunTable, offset=(line.index("run") - 1, 0))
        assert order() == ["alpha", "beta", "gamma"]
        await pilot.press("p")
        await until(pilot, lambda: "tiny · 3 runs · best 90.0%" in screen_text(app), "the group")
        await pilot.press("g")
        assert table(app).cursor == 1


async def test_the_filter_is_left_by_escape_and_by_down(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    finished_run(config, tmp_path / "runs", "beta", 0.875)
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 2)
        await pilot.press("slash", *"best>80%")
        await until(pilot, lambda: table(app).line_count == 1, "the filter")
        assert "1 of 2 · esc clears" in screen_text(app)
        assert "Runs · 1 of 2" in screen_text(app)
        await pilot.press("down")
        assert app.focused is table(app)
        assert "best>80%" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: table(app).line_count == 2, "all runs again")
        assert not app.screen.query_one("#filter-line").display
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "no run matches" in screen_text(app), "the word")
        await pilot.press("escape")
        await until(pilot, lambda: app.focused is table(app) and table(app).line_count == 2, "all runs")
        await pilot.press("slash", *"lr>abc")
        await until(pilot, lambda: "a number belongs after >" in screen_text(app), "the reason")
        await pilot.press("enter", "escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore, one level up")


# Marked runs


async def test_the_overlay_follows_the_marked_runs(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also a run that had no epoch when it was marked; the highest point is drawn."""
    run = create_run(config, tmp_path / "runs", "alpha")
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        await pilot.press("space")
        await until(pilot, lambda: "● alpha · no epoch yet" in screen_text(app), "the name")

        async def validate(epoch: int, accuracy: float) -> None:
            with LineWriter(run.metrics_file, attempt=0) as writer:
                writer.append(step=4 * epoch, epoch=epoch, **{"val/acc": accuracy})
            plot = app.screen.query_one(Curves).region
            await until(
                pilot,
                lambda: "\n".join(screen_text(app).splitlines()[plot.y : plot.bottom]).count("●") == 1 + epoch,
                f"epoch {epoch}",
            )

        await validate(1, 0.8589)
        await validate(2, 0.8846)
        await validate(3, 0.8947)
        assert "● 89.5% alpha" in screen_text(app)
        await pilot.press("space")
        await until(pilot, lambda: not app.screen.query_one(Curves).display, "no overlay")


async def test_a_tiny_terminal_has_the_list_alone(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app(size=(40, 12)) as (app, pilot):
        await open_runs(app, pilot, 1)
        await pilot.press("space")
        await until(pilot, lambda: "●" in row(app, "alpha"), "the mark")
        await pilot.pause()
        assert app.screen.max_scroll_y == 0
        assert table(app).content_size.height >= 3


async def test_names_hide_no_point(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also in a small terminal with long names. Each run has one point, at its second epoch."""
    names = [f"fmnist-28-20261126-18434{number}-624ca1" for number in range(3)]
    for number, name in enumerate(names):
        finished_run(config, tmp_path / "runs", name, 0.5 + number / 10)
    async with open_app(size=(80, 24)) as (app, pilot):
        await open_runs(app, pilot, 3)
        await pilot.press("space", "down", "space", "down", "space")

        def drawn() -> str:
            plot = app.screen.query_one(Curves).region
            return "\n".join(screen_text(app).splitlines()[plot.y : plot.bottom])

        await until(pilot, lambda: all(drawn().count(marker) == 2 for marker in "●▲■"), "each point and name")


async def test_other_metrics_minutes_and_differences(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    seeded = replace(config, recipe=replace(config.recipe, seed=3))
    finished_run(seeded, tmp_path / "runs", "beta", 0.85)
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 2)
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: "validation accuracy of the 2 marked" in screen_text(app), "the overlay")
        text = screen_text(app)
        assert "what differs" in text
        assert next(line for line in text.splitlines() if "│ seed " in line).split()[1:4] == ["seed", "3", "0"]
        await pilot.press("m")
        await until(pilot, lambda: "validation loss of the 2 marked" in screen_text(app), "another metric")
        await pilot.press("t")
        await until(pilot, lambda: " min" in screen_text(app), "minutes")
        await pilot.press("l")
        await until(pilot, lambda: "· log" in screen_text(app), "a logarithmic axis")
        await pilot.press("b")
        await until(pilot, lambda: "and 1 more seed" in screen_text(app), "the mean")


# One run


async def test_the_reason_of_a_failed_run_is_shown(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    run = create_run(config, tmp_path / "runs", "beta")
    write_status(run, Status("failed", updated=time.time(), reason="no folder of images was named"))
    async with open_app(size=(80, 24)) as (app, pilot):
        await open_runs(app, pilot, 2)
        assert screen_text(app).count("no folder of images was named") == 1
        assert "⏎ fixes" in screen_text(app)
        await pilot.press("down")
        await until(pilot, lambda: "no folder of images" not in screen_text(app), "the other run")
        await pilot.press("space", "up")  # the curves take the place of the details
        await until(pilot, lambda: "✗ beta: no folder of images was named" in screen_text(app), "the reason")


async def test_enter_opens_the_settings_of_a_run_that_failed_before_it_trained(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    """Hardware and data are filled in, too; escape comes back, and `w` watches the run all the same."""
    data = DataSource(folder=str(tmp_path / "gone"), limit_train=99)
    wrong = replace(
        config,
        recipe=replace(config.recipe, dataset="imagefolder", epochs=7),
        hardware=replace(config.hardware, device="cpu"),
        data=data,
    )
    run = create_run(wrong, tmp_path / "runs", "beta")
    write_status(run, Status("failed", updated=time.time(), reason="the folder is gone"))
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
        planned = app.state.planned
        texts = {name: planned.form.field(name).text for name in ("folder", "limit_train", "device", "epochs")}
        assert texts == {"folder": str(tmp_path / "gone"), "limit_train": "99", "device": "cpu", "epochs": "7"}
        assert planned.network == config.network
        await until(pilot, lambda: planned.form.current.name == "folder", "the cursor on the setting at fault")
        assert planned.blocked is not None
        assert planned.blocked.setting == "folder"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen) and "FAILED" in screen_text(app), "the run")


async def test_enter_watches_a_run_that_failed_while_it_trained(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = create_run(config, tmp_path / "runs", "beta")
    write_status(run, Status("failed", updated=time.time(), step=5, reason="the disk is full"))
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        assert "⏎ fixes" not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen), "the run")


async def test_details_are_those_of_the_selected_run(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    run = finished_run(config, tmp_path / "runs", "beta", 0.85)
    folder = run.checkpoints_folder / "last"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"step": 8, "epoch": 2}))
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 2)
        await until(pilot, lambda: "last: step 8, epoch 2" in screen_text(app), "the checkpoint")
        await pilot.press("down")
        await until(pilot, lambda: "75.0% at epoch 2" in screen_text(app), "the other run")
        assert "last: step 8" not in screen_text(app)


async def test_a_run_is_renamed_and_gets_a_note(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        await pilot.press("space", "N")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        await pilot.press(*"try", "enter")
        await until(pilot, lambda: read_note(run) == "try", "the note")
        await until(pilot, lambda: "note       try" in screen_text(app), "the note beside the list")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        app.screen.query_one(Input).value = "beta"
        await pilot.press("enter")
        await until(pilot, (tmp_path / "runs" / "beta").exists, "the new name")
        await until(pilot, lambda: "●" in row(app, "beta"), "its mark")
        assert "renamed alpha to beta" in told(app)
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        app.screen.query_one(Input).value = ""
        await pilot.press("enter")
        await until(pilot, lambda: not (tmp_path / "runs" / "beta" / "notes.txt").exists(), "no note")


async def ask_to_delete(app: ExploreApp, pilot: Pilot[None]) -> None:
    await open_runs(app, pilot, 1)
    await pilot.press("delete")
    await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")


async def test_enter_deletes_nothing(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await ask_to_delete(app, pilot)
        assert "KiB · 2.00/2 epochs · best 75.0%" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list below")
        assert run.path.exists()


@pytest.mark.parametrize("answer", ["y", "right enter", "click"])
async def test_a_run_is_deleted_after_a_confirmation(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, answer: str
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await ask_to_delete(app, pilot)
        if answer == "click":
            await pilot.click("#yes")
        else:
            await pilot.press(*answer.split())
        await until(pilot, lambda: not run.path.exists(), "the deletion")
        await until(pilot, lambda: "No runs yet" in screen_text(app), "the empty list")
        assert told(app) == "deleted alpha"


async def test_a_run_that_starts_during_the_question_is_not_deleted(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await ask_to_delete(app, pilot)
        run.status_file.unlink()  # as of a run that was just launched, whose worker has not said anything yet
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and told(app), "an answer")
        assert run.path.exists()
        assert "being trained" in told(app)


async def test_a_run_without_a_checkpoint_starts_anew_only_when_told_so(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[RunDirectory] = []
    monkeypatch.setattr(service, "resume", resumed.append)
    run = create_run(config, tmp_path / "runs", "alpha")
    write_status(run, Status("crashed", step=40, epoch=0.5, updated=time.time()))
    async with open_app() as (app, pilot):
        await open_runs(app, pilot, 1)
        await pilot.press("r")
        await until(pilot, lambda: "Its 40 steps are trained again" in screen_text(app), "the question")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list")
        assert resumed == []
        folder = run.checkpoints_folder / "last"
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"step": 30, "epoch": 0}))
        await pilot.press("r")
        await until(pilot, lambda: resumed == [run], "the start")
        await until(pilot, lambda: told(app) == "alpha: starting from step 30 (10 steps again)", "from where")
        shutil.rmtree(folder)
        app.watch_run(run)
        await until(pilot, lambda: "CRASHED" in screen_text(app), "the run in Train")
        await pilot.press("r")
        await until(pilot, lambda: "Its 40 steps are trained again" in screen_text(app), "the same question there")
        await pilot.press("y")
        await until(pilot, lambda: resumed == [run, run], "the start")


async def test_the_marked_answer_is_the_one_that_changes_nothing(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        app.push_screen(Confirm("Leave?", "all is lost", yes="Leave", no="Stay"))
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        focused = app.screen.focused
        assert isinstance(focused, Button) and focused.id == "no"
        assert {"Leave?", "all is lost", "Stay"} <= {
            text for text in ("Leave?", "all is lost", "Stay") if text in screen_text(app)
        }


async def test_the_cursor_stays_on_a_run_whose_item_in_the_queue_was_refused(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    queue = Queue(tmp_path / "runs")
    item = queue.add(config, "both")
    claimed = queue.claim(item, ())
    assert claimed is not None
    queue.end(claimed, refused="its data folder is not mounted")
    run = create_run(config, tmp_path / "runs", "both")
    write_status(run, Status("stopped", step=1, updated=1.0))
    async with open_app() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and len(table(app).lines) == 2, "both lines")
        await pilot.press("end")
        await until(pilot, lambda: on_the_run(app), "the run")
        table(app).show(list(table(app).lines))
        assert on_the_run(app)


def on_the_run(app: ExploreApp) -> bool:
    selected = table(app).selected
    return selected is not None and selected.run.item is None
