"""Dialogs over a run, in Train and in Runs."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.screen import Screen

from alexplore.core.errors import AlexploreError
from alexplore.export.run_formats import RUN_FORMATS
from alexplore.runs import service
from alexplore.runs.checkpoint_files import resume_step, resume_text
from alexplore.runs.directory import RunDirectory
from alexplore.runs.summary import Summary
from alexplore.tui.screens.dialogs import Choose, Confirm
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
        screen.notify(str(error), severity="error")


async def resume(screen: Screen[Any], summary: Summary) -> None:
    """Continue a run, and show from which step; ask first if it has no checkpoint and would start from step 0."""
    run, status = summary.run, summary.status
    if status.resumable and status.step and not await asyncio.to_thread(resume_step, run):
        detail = f"Its {status.step:,} steps are trained again, from the beginning."
        if not await screen.app.push_screen_wait(Confirm(f"{run.name} has no checkpoint. Start anew?", detail)):
            return
    whence = await asyncio.to_thread(resume_text, summary) if status.resumable else ""
    if whence:
        screen.notify(f"{run.name}: starting {whence}")
    try:
        await asyncio.to_thread(service.resume, run)
    except AlexploreError as error:
        screen.notify(str(error), severity="error")
    else:
        if not whence:
            screen.notify(f"asked {run.name} to continue")
