"""What Explore does with files: open and compare presets, save one, export the network. Each asks first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets.option_list import Option

from alexplore.export import FORMATS, export_preset
from alexplore.export.errors import ExportError
from alexplore.presets.library import is_shipped, load_preset
from alexplore.presets.preset import Preset, PresetError, PresetExists
from alexplore.presets.writer import save_preset
from alexplore.tui.screens.dialogs import Ask, Choose, Confirm
from alexplore.tui.screens.reading import comparison
from alexplore.tui.widgets.preset_list import preset_options

if TYPE_CHECKING:
    from alexplore.tui.screens.explore import ExploreScreen


async def choose(screen: ExploreScreen, title: str, names: Sequence[str]) -> str | None:
    """One of some names, or None."""
    return await screen.app.push_screen_wait(Choose(title, [Option(Content(name), id=name) for name in names]))


async def choose_preset(screen: ExploreScreen, title: str) -> str | None:
    """The name of a preset, or None."""
    return await screen.app.push_screen_wait(Choose(title, preset_options()))


def loaded(screen: ExploreScreen, name: str) -> Preset | None:
    """The preset of a name; None, and a message, where it can't be read."""
    try:
        return load_preset(name)
    except PresetError as error:
        screen.notify(str(error), severity="error", markup=False)
        return None


async def open_preset(screen: ExploreScreen, preset: Preset) -> bool:
    """Open a preset; unsaved edits are asked about. False where nothing was opened."""
    workspace = screen.workspace
    question = f"Leave the edits of {workspace.preset.name}? They are not saved."
    if workspace.modified and not await screen.app.push_screen_wait(Confirm(question)):
        return False
    workspace.open(preset)
    return True


async def compare(screen: ExploreScreen) -> None:
    """Put another preset beside the network."""
    chosen = await choose_preset(screen, "Compare with")
    other = loaded(screen, chosen) if chosen else None
    if other is not None:
        await screen.app.push_screen(comparison(screen.workspace.preset, other))


async def save(screen: ExploreScreen) -> bool:
    """Save the network as a preset of the user's own. False where nothing was saved."""
    preset = screen.workspace.preset
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
    screen.workspace.saved(saved)
    screen.notify(f"Saved {saved.path}", markup=False)
    return True


async def export(screen: ExploreScreen) -> None:
    """Write the network as code or data."""
    preset = screen.workspace.preset
    to = await choose(screen, "Export", list(FORMATS))
    if to is None:
        return
    try:
        content = export_preset(preset, to)
    except ExportError as error:
        screen.notify(str(error), severity="error", markup=False, timeout=20)
        return
    suggestion = f"{preset.name.replace('-', '_')}{FORMATS[to].ending}"
    answer = await screen.app.push_screen_wait(Ask("Write to", suggestion, "a file in the folder you started in"))
    if answer is None:
        return
    path = Path(answer).expanduser()
    if path.is_dir():
        screen.notify(f"{path} is a directory; give the name of a file in it", severity="error", markup=False)
        return
    if path.exists() and not await screen.app.push_screen_wait(Confirm(f"{path} exists. Replace it?")):
        return
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        screen.notify(f"{path}: {error.strerror}", severity="error", markup=False)
    else:
        screen.notify(f"Wrote {path}", markup=False)
