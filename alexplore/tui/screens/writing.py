"""Write exports: ask for a file or a folder, write it, and show the path or the error."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.screen import Screen

from alexplore.core.atomic_files import Content, write_output
from alexplore.core.boundary import os_error_text
from alexplore.core.home import NoHomeError, expand
from alexplore.tui.screens.dialogs import Ask, Confirm


async def ask_and_write(screen: Screen[Any], suggestion: str, content: Content) -> None:
    """Ask for a file, and for consent before one is replaced; write it, and show its path or the error."""
    answer = await screen.app.push_screen_wait(Ask("Write to", suggestion, "a file in the folder you started in"))
    if answer is None:
        return
    try:
        path = expand(answer)
        if path.is_dir():
            screen.notify(f"{path} is a directory; give the name of a file in it", severity="error", markup=False)
            return
        if path.exists() and not await screen.app.push_screen_wait(Confirm(f"{path} exists. Replace it?")):
            return
        await asyncio.to_thread(write_output, path, content)
    except (OSError, NoHomeError) as error:
        _show_error(screen, error)
    else:
        screen.notify(f"Wrote {path.resolve()}", markup=False)


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
    except (OSError, NoHomeError) as error:
        _show_error(screen, error)
    else:
        screen.notify(f"Wrote {path.resolve()}", markup=False)


def _show_error(screen: Screen[Any], error: OSError | NoHomeError) -> None:
    text = os_error_text(error) if isinstance(error, OSError) else str(error)
    screen.notify(text, severity="error", markup=False)
