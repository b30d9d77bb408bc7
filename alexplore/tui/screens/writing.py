"""Write exports: ask for a file or a folder, write it, and show the path or the error."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.screen import Screen

from alexplore.core.atomic_files import Content, check_no_folder, write_output
from alexplore.core.boundary import ACTIONABLE, error_text
from alexplore.core.errors import AlexploreError
from alexplore.core.home import expand
from alexplore.tui.screens.dialogs import Ask, Confirm


async def ask_and_write(screen: Screen[Any], suggestion: str, content: Content) -> None:
    """Ask for a file, and for consent before one is replaced; write it, and show its path or the error."""
    answer = await screen.app.push_screen_wait(Ask("Write to", suggestion, "a file in the folder you started in"))
    if answer is None:
        return
    try:
        path = expand(answer)
        check_no_folder(path)
        if path.exists() and not await screen.app.push_screen_wait(Confirm(f"{path} exists. Replace it?")):
            return
        await asyncio.to_thread(write_output, path, content)
    except ACTIONABLE as error:
        _show_error(screen, error)
    else:
        screen.notify(f"Wrote {path.resolve()}")


async def ask_and_write_into(screen: Screen[Any], suggestion: str, name: str, content: Content) -> None:
    """Ask for a folder, which is created if it does not exist; write the file `name` into it, and show its path."""
    note = f"the folder for {name}, in the folder you started in"
    answer = await screen.app.push_screen_wait(Ask("Write into", suggestion, note))
    if answer is None:
        return
    try:
        path = expand(answer) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(write_output, path, content)
    except ACTIONABLE as error:
        _show_error(screen, error)
    else:
        screen.notify(f"Wrote {path.resolve()}")


def _show_error(screen: Screen[Any], error: AlexploreError | OSError) -> None:
    screen.notify(error_text(error), severity="error")
