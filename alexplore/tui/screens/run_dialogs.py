"""Dialogs over a run, in Train and in Runs."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.screen import Screen

from alexplore.core.errors import AlexploreError
from alexplore.export.run_formats import RUN_FORMATS
from alexplore.runs.directory import RunDirectory
from alexplore.tui.screens.dialogs import Choose
from alexplore.tui.screens.writing import ask_and_write, ask_and_write_into
from alexplore.tui.widgets.choice_list import Choice


async def export(screen: Screen[Any], run: RunDirectory) -> None:
    """Ask for a format and for where to write, and write the run for other programs."""
    choices = [Choice(form.name, form.doc) for form in RUN_FORMATS.values()]
    to = await screen.app.push_screen_wait(Choose(f"Export {run.name}", choices))
    if to is None:
        return
    form = RUN_FORMATS[to]
    try:
        if form.text is not None:
            await ask_and_write(screen, f"{run.name}.{to}", form.text(run))
        elif form.file is not None:
            name, content = await asyncio.to_thread(form.file, run)
            await ask_and_write_into(screen, f"{run.name}-{to}", name, content)
    except AlexploreError as error:
        screen.notify(str(error), severity="error", markup=False)
