"""Errors that a person can act on are shown, and the app and its edits stay."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
from pathlib import Path

import pytest
from textual.worker import WorkerFailed

from alexplore.core.errors import AlexploreError
from alexplore.runs import commands
from alexplore.runs.config import RunConfig
from alexplore.tui.screens.explore import ExploreScreen
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.support.waiting import PATIENCE
from tests.tui.conftest import OpenApp


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AlexploreError("there is no such thing"), "there is no such thing"),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE), "/mnt/nas"), f"/mnt/nas: {os.strerror(errno.ESTALE)}"),
    ],
)
@pytest.mark.parametrize("thread", [True, False])
async def test_an_error_that_no_code_expects_does_not_end_the_app(
    open_app: OpenApp, error: Exception, words: str, thread: bool
) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        fail()

    async with open_app() as (app, pilot):
        app.run_worker(fail if thread else fail_later, thread=thread)
        await until(pilot, lambda: words in screen_text(app), "the message")
        assert app.is_running


async def test_a_fault_of_the_program_ends_the_app(open_app: OpenApp) -> None:
    async def fail() -> None:
        raise KeyError("nothing that a person could do")

    with pytest.raises(WorkerFailed, match="nothing that a person could do"):
        async with open_app() as (app, pilot):
            app.run_worker(fail())
            await until(pilot, lambda: not app.is_running, "the end")


async def test_a_name_that_can_not_be_a_path_leaves_the_edits(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        app.state.session.apply(app.state.session.network.change(0, {"out_channels": 64}))
        await pilot.press("s")
        await until(pilot, lambda: "Save as" in screen_text(app), "the dialog")
        await pilot.press("ctrl+u", *"~nosuchuser/my", "enter")
        await until(pilot, lambda: "there is no home folder ~nosuchuser" in screen_text(app), "the message")
        assert app.state.session.unsaved


async def test_the_question_before_the_end_is_asked_again_after_it_was_left(open_app: OpenApp) -> None:
    """The palette works in dialogs, too, and may lead elsewhere."""
    async with open_app() as (app, pilot):
        app.state.session.apply(app.state.session.network.change(0, {"out_channels": 64}))
        for _ in range(2):
            await pilot.press("q")
            await until(pilot, lambda: "Close alexplore?" in screen_text(app), "the question")
            app.action_mode("runs")
            await until(pilot, lambda: "Close alexplore?" not in screen_text(app), "the runs")
        await pilot.press("q")
        await until(pilot, lambda: "Close alexplore?" in screen_text(app), "the question")
        await pilot.press("ctrl+q")  # asked already
        await until(pilot, lambda: not app.is_running, "the end")


@pytest.mark.usefixtures("heavy")
async def test_an_evaluation_does_not_keep_the_app_from_ending(
    open_app: OpenApp, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python waits at its end for the thread that reads the output of the process."""
    run = finished_run(config, tmp_path / "runs", "run", 0.5)
    (run.checkpoints_folder / "last").mkdir(exist_ok=True)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setattr(commands, "command_line", lambda *_: [str(program)])
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "FINISHED  run" in screen_text(app), "the run")
        await pilot.press("e")
        await until(pilot, lambda: bool(commands.RUNNING), "the evaluation")
        (process,) = commands.RUNNING
        await pilot.press("e")
        await until(pilot, lambda: "run is being evaluated already" in screen_text(app), "the refusal")
        assert list(commands.RUNNING) == [process]
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running, "the end")
    assert process.wait(PATIENCE) == -signal.SIGKILL


async def test_a_message_for_a_screen_that_is_being_opened_is_shown(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        screen = ExploreScreen(app.state.session, "")
        opened = app.push_screen(screen)
        screen.show_outcome("saved it", "information")
        await opened
        await until(pilot, lambda: "saved it" in screen_text(app), "the message")


async def test_threads_that_wait_leave_others_to_the_screens(open_app: OpenApp) -> None:
    """A thread waits for each evaluation, and one more for each classification."""
    done = threading.Event()
    async with open_app() as (_, pilot):
        waiting = [asyncio.create_task(asyncio.to_thread(done.wait)) for _ in range(20)]
        await pilot.pause()
        assert await asyncio.to_thread(lambda: "read a run") == "read a run"
        done.set()
        await asyncio.gather(*waiting)
