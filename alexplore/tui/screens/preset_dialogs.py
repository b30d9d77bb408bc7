"""Dialogs over Explore that read or write presets: choose, open, compare, save and export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.content import Content
from textual.screen import Screen
from textual.widgets.option_list import Option

from alexplore.core.atomic_files import write_output
from alexplore.core.boundary import os_error_text
from alexplore.core.home import NoHomeError, expand
from alexplore.export import FORMATS, export_preset
from alexplore.export.errors import ExportError
from alexplore.presets.library import is_shipped, load_preset
from alexplore.presets.preset import Preset, PresetError, PresetExists
from alexplore.presets.writer import save_preset
from alexplore.tui.edit_session import EditSession
from alexplore.tui.screens.dialogs import Ask, Choose, Confirm
from alexplore.tui.screens.report import comparison
from alexplore.tui.widgets.preset_list import preset_options

ERROR_SECONDS = 20.0  # how long a long error is shown


async def choose(screen: Screen[Any], title: str, names: Sequence[str]) -> str | None:
    """Return the name that is chosen from a list, None if the dialog is cancelled."""
    return await screen.app.push_screen_wait(Choose(title, [Option(Content(name), id=name) for name in names]))


async def choose_preset(screen: Screen[Any], title: str) -> str | None:
    """Return the name of the preset that is chosen, None if the dialog is cancelled."""
    return await screen.app.push_screen_wait(Choose(title, preset_options()))


def read_named(screen: Screen[Any], name: str) -> Preset | None:
    """Return the preset called `name`; if it can't be read, show why and return None."""
    try:
        return load_preset(name)
    except PresetError as error:
        screen.notify(str(error), severity="error", markup=False)
        return None


async def open_preset(screen: Screen[Any], session: EditSession, preset: Preset) -> bool:
    """Open a preset after asking about unsaved edits; return whether it was opened."""
    question = f"Leave the edits of {session.preset.name}? They are not saved."
    if session.modified and not await screen.app.push_screen_wait(Confirm(question)):
        return False
    session.open(preset)
    return True


async def compare(screen: Screen[Any], preset: Preset) -> None:
    """Ask for another preset and show it beside `preset`."""
    chosen = await choose_preset(screen, "Compare with")
    other = read_named(screen, chosen) if chosen else None
    if other is not None:
        await screen.app.push_screen(comparison(preset, other))


async def save(screen: Screen[Any], session: EditSession) -> bool:
    """Ask for a name and save the network as a preset of the user's own; return whether it was saved."""
    preset = session.preset
    suggestion = preset.name if preset.path and not is_shipped(preset) else f"my-{preset.name}"
    name = await screen.app.push_screen_wait(Ask("Save as", suggestion, "the name of a preset of your own"))
    if name is None:
        return False
    try:
        try:
            saved = save_preset(preset, name)
        except PresetExists as clash:
            if not await screen.app.push_screen_wait(Confirm(f"{clash}\n\nReplace it?")):
                return False
            saved = save_preset(preset, name, overwrite=True)
    except PresetError as error:
        screen.notify(str(error), severity="error", markup=False)
        return False
    session.mark_saved(saved)
    screen.notify(f"Saved {saved.path}", markup=False)
    return True


async def export(screen: Screen[Any], preset: Preset) -> None:
    """Ask for a format and a file, and write the network as code or data."""
    to = await choose(screen, "Export", list(FORMATS))
    if to is None:
        return
    try:
        content = export_preset(preset, to)
    except ExportError as error:
        screen.notify(str(error), severity="error", markup=False, timeout=ERROR_SECONDS)
        return
    suggestion = f"{preset.name.replace('-', '_')}{FORMATS[to].ending}"
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
        write_output(path, content)
    except (OSError, NoHomeError) as error:
        text = os_error_text(error) if isinstance(error, OSError) else str(error)
        screen.notify(text, severity="error", markup=False)
    else:
        screen.notify(f"Wrote {path}", markup=False)
