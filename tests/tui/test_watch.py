"""Train, once it started: the screen of a watched run."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from alexplore.core.settings import toml_text
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.control import take_requests
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import Watch
from alexplore.tui import watched_run
from alexplore.tui.app import ExploreApp
from alexplore.tui.messages import RunPolled
from alexplore.tui.screens.dialogs import Ask
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.watched_run import DrawnCurves
from alexplore.tui.widgets.log_view import LogView
from tests.support.runs import finished_run
from tests.support.screens import pane_keys, screen_text, until
from tests.tui.conftest import OpenApp


def body(app: ExploreApp) -> list[str]:
    """Return the lines of the screen without the line of modes, which says what is known of all runs."""
    return screen_text(app).splitlines()[1:]


async def test_a_crashed_worker_is_named_once_and_its_output_shown_on_demand(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = create_run(config, tmp_path / "runs")
    write_status(run, Status("running", pid=1, step=7, epoch=0.5, updated=1.0))
    run.console_file.write_text("Segmentation fault\n")
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "crashed" in screen_text(app), "the crash")
        assert "the worker died at epoch 0.50, step 7" in screen_text(app)
        assert "Segmentation fault" not in screen_text(app)
        await pilot.press("C")
        await until(pilot, lambda: "Segmentation fault" in screen_text(app), "the output")


async def test_the_log_is_as_wide_as_its_panel(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """Also after the terminal was resized."""
    run = create_run(config, tmp_path / "runs", "alpha")
    write_status(run, Status("running", pid=os.getpid(), updated=time.time()))
    words = "words that take a whole line of the log, without its time"
    async with open_app(size=(80, 24)) as (app, pilot):
        app.watch_run(run)
        with LineWriter(run.events_file, attempt=0) as events:
            events.append(event="warning", message=words)
        await until(pilot, lambda: words in screen_text(app), "the line")
        await pilot.resize_terminal(60, 24)
        await until(pilot, lambda: "without its time" in screen_text(app), "the line's end")
        assert words not in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: words in screen_text(app), "the line again")


async def test_a_late_message_about_the_run_watched_before_is_ignored(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    before = finished_run(config, tmp_path / "runs", "before", 0.75)
    with LineWriter(before.events_file, attempt=0) as events:
        events.append(event="warning", message="of the run before")
    now = finished_run(config, tmp_path / "runs", "now", 0.875)
    late = RunPolled(Watch(before).poll(), DrawnCurves())
    async with open_app() as (app, pilot):
        app.watch_run(now)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the log")
        app.screen.post_message(late)
        await pilot.pause()
        with LineWriter(now.events_file, attempt=0) as events:
            events.append(event="warning", message="of this run")
        await until(pilot, lambda: "of this run" in screen_text(app), "the run's own word")
        assert "of the run before" not in screen_text(app)


async def test_a_message_about_a_run_is_not_left_on_the_next_one(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    first, second = (finished_run(config, tmp_path / "runs", name, 0.75) for name in ("first", "second"))
    async with open_app() as (app, pilot):
        app.watch_run(first)
        await until(pilot, lambda: "FINISHED  first" in screen_text(app), "the run")
        app.notify("first has no weights yet")
        await until(pilot, lambda: "first has no weights yet" in screen_text(app), "the message")
        app.watch_run(second)
        await until(pilot, lambda: "FINISHED  second" in screen_text(app), "the other run")
        assert "first has no weights yet" not in screen_text(app)


async def test_a_run_that_can_be_read_again_is_shown(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    """As after a moment in which its file system was away."""
    run = finished_run(config, tmp_path / "runs", "away", 0.75)
    text = run.config_file.read_text()
    run.config_file.write_text("{")
    async with open_app(size=(200, 40)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: f"✗ {run.config_file}: not valid JSON" in screen_text(app), "what is wrong")
        run.config_file.write_text(text)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the run")


async def test_an_unreadable_run_shows_the_reason_and_nothing_of_the_run_before(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    before = finished_run(config, tmp_path / "runs", "before", 0.75)
    damaged = finished_run(config, tmp_path / "runs", "damaged", 0.875)
    damaged.config_file.write_text("{")
    async with open_app(size=(200, 40)) as (app, pilot):
        app.watch_run(damaged)
        await until(pilot, lambda: f"✗ {damaged.config_file}: not valid JSON" in screen_text(app), "what is wrong")
        await pilot.pause()
        alone = body(app)
    async with open_app(size=(200, 40)) as (app, pilot):
        app.watch_run(before)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the run before")
        app.watch_run(damaged)
        await until(pilot, lambda: body(app) == alone, "the same screen")
        await pilot.press("l", "w", "l", "w")
        await pilot.pause()
        assert body(app) == alone
        app.watch_run(before)
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

    monkeypatch.setattr(watched_run, "Watch", slow)
    async with open_app() as (app, pilot):
        app.watch_run(before)
        await until(pilot, lambda: "75.0%" in screen_text(app), "the run before")
        app.watch_run(now)
        try:
            await until(pilot, lambda: "reading now" in screen_text(app), "the wait")
            await pilot.pause()
            text = screen_text(app)
            assert "step 8" not in text
            assert "epoch 2" not in text
            assert "75.0%" not in text
        finally:
            readable.set()
        await until(pilot, lambda: "87.5%" in screen_text(app), "the run")


async def test_a_dialog_over_a_run_keeps_the_place_in_its_log(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    with LineWriter(run.events_file, attempt=0) as events:
        for number in range(100):
            events.append(event="warning", message=f"line {number}")
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "line 99" in screen_text(app), "the log")
        log = app.screen.query_one(LogView)
        await pilot.press("home")
        await until(pilot, lambda: log.scroll_y == 0, "its beginning")

        def shown() -> list[str]:
            return screen_text(app).splitlines()[log.region.y : log.region.bottom]

        before = shown()
        assert any("line 0" in line for line in before)
        app.screen.query_one("#loss").focus()
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen.is_modal, "the dialog")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen), "the screen below")
        await pilot.pause(1.0)  # longer than it takes to read the run again
        assert [line[1:-1] for line in shown()[1:-1]] == [
            line[1:-1] for line in before[1:-1]
        ]  # the frame had the focus
        assert app.screen.focused is app.screen.query_one("#loss")


async def test_curves_are_drawn_over_minutes_and_the_learning_rate_in_place_of_the_accuracy(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = create_run(config, tmp_path / "runs", "alpha")
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        for step in (1, 2, 3):
            metrics.append(step=step, epoch=step / 4, lr=0.125 / step, **{"train/loss": 1 / step, "train/acc": 0.5})
    write_status(run, Status("finished", step=3, epoch=0.75, updated=time.time()))
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: screen_text(app).count(" epochs") >= 2, "curves over epochs")
        assert " accuracy " in screen_text(app)
        await pilot.press("m")
        await until(pilot, lambda: " learning rate " in screen_text(app), "the learning rate")
        assert "0.0417" in screen_text(app)  # 0.125 / 3
        await pilot.press("t")
        await until(pilot, lambda: " min" in screen_text(app), "minutes")
        await pilot.press("m", "t")
        await until(pilot, lambda: " accuracy " in screen_text(app), "the accuracy again")


async def test_a_run_that_fails_while_it_is_watched_was_looked_at(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda run: True)
    run = create_run(config, tmp_path / "runs", "night")
    write_status(run, Status("running", step=2, epoch=1.0, updated=time.time()))
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "● night" in screen_text(app).splitlines()[0], "that it is training")
        write_status(run, Status("failed", step=2, epoch=1.0, updated=time.time(), reason="no space"))
        await until(pilot, lambda: "✗ failed: no space" in screen_text(app), "the reason")
        await until(pilot, lambda: "no run is training" in screen_text(app).splitlines()[0], "nothing unseen")
        assert "took" in screen_text(app) and "0.0 s" not in screen_text(app)  # no epoch was finished


def shows(app: ExploreApp, words: str) -> bool:
    return words in screen_text(app)


async def test_keys_leave_requests_for_the_worker(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "alpha")  # just made: it counts as starting
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "alpha" in screen_text(app), "the run")
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the dialog")
        assert app.screen.query_one(Input).value == toml_text(config.recipe.lr)
        app.screen.query_one(Input).value = "0.5"
        await pilot.press("enter")
        await until(pilot, lambda: "asked to change lr to 0.5" in screen_text(app), "the outcome")
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the dialog")
        app.screen.query_one(Input).value = "many"
        await pilot.press("enter")
        await until(pilot, lambda: 'epochs: found "many"' in screen_text(app), "the refusal")
        for key, words in {"E": "asked to evaluate", "X": "asked to stop after this epoch"}.items():
            await pilot.press(key)
            await until(pilot, partial(shows, app, words), words)
    assert [(made.action, dict(made.values)) for made in take_requests(run)] == [
        ("set", {"lr": 0.5}), ("evaluate", {}), ("stop_after_epoch", {}),
    ]  # fmt: skip


async def test_a_finished_run_trains_on_with_more_epochs(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restarted: list[tuple[RunDirectory, dict[str, float]]] = []
    monkeypatch.setattr(service, "restart", lambda run, changes: restarted.append((run, changes)))
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "T trains on" in screen_text(app), "the next steps")
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        app.screen.query_one(Input).value = "20"
        await pilot.click("#yes")
        await until(pilot, lambda: "trains on, with epochs 20" in screen_text(app), "the outcome")
        assert "L at another rate" in screen_text(app)
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        app.screen.query_one(Input).value = "0.1"
        await pilot.press("enter")
        await until(pilot, lambda: "How many to train in all" in screen_text(app), "the other question")
        app.screen.query_one(Input).value = "21"
        await pilot.press("enter")
        await until(pilot, lambda: "trains on, with lr 0.1, epochs 21" in screen_text(app), "the outcome")
    assert restarted == [(run, {"epochs": 20}), (run, {"lr": 0.1, "epochs": 21})]


@pytest.mark.parametrize(
    ("size", "kept"), [((80, 24), "epoch 2.00/2 · 100% · step 8"), ((40, 12), "epoch 2.00/2 · 100%")]
)
async def test_on_a_small_terminal_parts_are_left_out_and_nothing_is_out_of_sight(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, size: tuple[int, int], kept: str
) -> None:
    run = finished_run(config, tmp_path / "runs", "a-run-with-quite-a-long-name", 0.75)
    async with open_app(size=size) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "FINISHED" in screen_text(app), "the run")
        lines = screen_text(app).splitlines()
        assert "FINISHED" in lines[1]
        assert "█" in lines[2]
        assert lines[2].rstrip().endswith(kept)
        assert app.screen.max_scroll_y == 0
        assert app.screen.query_one("#log").region.bottom <= size[1] - 2
        assert app.screen.query_one("#log").content_size.height >= 2
        curves = app.screen.query_one("#loss")
        assert not curves.is_on_screen or curves.content_size.height >= 3


async def test_keys_of_the_run_work_while_a_plot_has_the_focus(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    write_status(run, Status("stopped", step=8, epoch=2.0, updated=time.time()))
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "STOPPED" in screen_text(app), "the run")
        app.screen.query_one("#loss").focus()
        await until(pilot, lambda: "0 whole" in " ".join(pane_keys(app)), "the keys of the plot")
        assert "┏━ loss" in screen_text(app)  # a heavy frame has the focus, also without colours
        assert "r resume" in pane_keys(app)
        assert app.screen.active_bindings["r"].binding.action == "resume"
