"""Dialogs over the form of a planned run, for settings whose values are folders, files or runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from textual.screen import Screen

from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.messages import STATE_GLYPHS
from alexplore.runs.metrics import BEST_METRIC, METRICS
from alexplore.runs.starting_weights import SUFFIXES, runs_with_weights
from alexplore.runs.summary import RunList
from alexplore.tui.planned_run import PlannedRun
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.dialogs import Choose
from alexplore.tui.widgets.choice_list import Choice

Dialog = Callable[[Screen[Any], PlannedRun], Awaitable[str | None]]

FILE = "a file…"
MOST_RUNS = 50  # only so many of the newest runs are listed


async def choose_folder(screen: Screen[Any], planned: PlannedRun) -> str | None:
    """Return the folder of images that is chosen, None if the dialog is cancelled."""
    folder = await screen.app.push_screen_wait(Browse("Folder of the images", planned.form.field("folder").text))
    return None if folder is None else str(folder)


async def choose_weights(screen: Screen[Any], planned: PlannedRun) -> str | None:
    """Return the run or the file whose weights are chosen, None if the dialog is cancelled."""
    given = planned.form.field("weights").text
    choices = await asyncio.to_thread(_runs, planned)
    if choices:
        title = "Start from the best weights of a run, or from a file"
        chosen = await screen.app.push_screen_wait(Choose(title, [Choice(FILE), *choices], given))
        if chosen != FILE:
            return chosen
    path = await screen.app.push_screen_wait(Browse("File of weights", given, SUFFIXES))
    return None if path is None else str(path)


def _runs(planned: PlannedRun) -> list[Choice]:
    """Return the runs that have weights, each with its network, its state and its best value."""
    runs: list[RunDirectory] = []
    with suppress(RunError):  # Runs shows why the folder can't be read
        runs = runs_with_weights(planned.runs_folder)[:MOST_RUNS]
    choices = []
    for summary in RunList().summarise(runs):
        best = METRICS[BEST_METRIC].number(summary.best)
        state = f"{STATE_GLYPHS.get(summary.status.state, ' ')} {summary.status.state}"
        network = summary.config.preset if summary.config else ""
        choices.append(Choice(summary.run.name, f"{network} · {state} · best {best}"))
    return choices


DIALOGS: Mapping[str, Dialog] = {"folder": choose_folder, "weights": choose_weights}
"""The dialog of each setting that has one."""
