"""Dialogs over Explore that read or write presets: choose, open, compare, save, rename, delete and export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen

from alexplore.core.errors import AlexploreError
from alexplore.export import FORMATS, export_preset
from alexplore.export.errors import ExportError
from alexplore.network.graph import read_network
from alexplore.network.layers import EDITABLE_TYPES
from alexplore.presets.library import is_shipped, load_preset
from alexplore.presets.preset import Preset, PresetError, PresetExists
from alexplore.presets.writer import delete_preset, rename_preset, save_preset
from alexplore.tui.edit_session import EditSession
from alexplore.tui.preset_catalog import PresetEntry
from alexplore.tui.screens.dialogs import CANCEL, Ask, Choose, Confirm, Dialog
from alexplore.tui.screens.writing import ask_and_write
from alexplore.tui.widgets.choice_list import Choice
from alexplore.tui.widgets.preset_list import PresetList


async def choose_layer_type(screen: Screen[Any]) -> str | None:
    """Return the layer type that is chosen, None if the dialog is cancelled."""
    choices = [Choice(name, _first_sentence(cls)) for name, cls in EDITABLE_TYPES.items()]
    return await screen.app.push_screen_wait(Choose("Add a layer", choices))


def _first_sentence(cls: type) -> str:
    """Return the first sentence of a class's docstring without its full stop."""
    return " ".join((cls.__doc__ or "").split()).partition(". ")[0].removesuffix(".")


class ChoosePreset(Dialog[str | None]):
    """Asks for a preset; the answer is its name."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [CANCEL]

    def __init__(self, title: str, entries: Sequence[PresetEntry]) -> None:
        super().__init__()
        self._title = title
        self._entries = entries

    def compose(self) -> ComposeResult:
        """Yield the list in a frame."""
        with Vertical(classes="dialog presets") as frame:
            frame.border_title = self._title
            frame.border_subtitle = "⏎ chooses · / finds · esc cancels"
            yield PresetList(marks=False, id="choice")

    def on_mount(self) -> None:
        """List the presets."""
        self.query_one(PresetList).show(self._entries)
        self.query_one(PresetList).focus()

    def on_cursor_list_chosen(self) -> None:
        """Answer with the preset under the cursor."""
        selected = self.query_one(PresetList).selected
        if selected is not None:
            self.dismiss(selected.name)

    def on_preset_list_left(self) -> None:
        """Cancel."""
        self.dismiss(None)


def new_preset() -> Preset:
    """Return the smallest network to start with: a linear layer from the pixels of a small image to ten classes."""
    layers = [{"name": "flatten", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": 10}]
    network = read_network({"input": [3, 32, 32], "layers": layers})
    return Preset("new", network, title="A network from nothing")


def read_named(screen: Screen[Any], name: str) -> Preset | None:
    """Return the preset called `name`; if it can't be read, show why and return None."""
    try:
        return load_preset(name)
    except AlexploreError as error:
        screen.notify(str(error), severity="error")
        return None


async def open_preset(screen: Screen[Any], session: EditSession, preset: Preset) -> bool:
    """Open a preset after asking about unsaved edits; return whether it was opened."""
    question = f"Leave the edits of {session.preset.name}? They are not saved."
    if session.modified and not await screen.app.push_screen_wait(Confirm(question)):
        return False
    session.open(preset)
    return True


async def compare(screen: Screen[Any], preset: Preset, entries: Sequence[PresetEntry], marked: Sequence[str]) -> None:
    """Show `preset` beside the marked presets; ask for one if none is marked."""
    chosen = list(marked)
    if not chosen:
        name = await screen.app.push_screen_wait(ChoosePreset("Compare with", entries))
        chosen = [name] if name else []
    others = [other for name in chosen if (other := read_named(screen, name)) is not None]
    if others:
        from alexplore.tui.screens.comparison import ComparisonScreen

        await screen.app.push_screen(ComparisonScreen(preset, others))


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
    except AlexploreError as error:
        screen.notify(str(error), severity="error")
        return False
    session.mark_saved(saved)
    screen.notify(f"Saved {saved.path}")
    return True


async def rename(screen: Screen[Any], session: EditSession, entry: PresetEntry) -> bool:
    """Ask for another name of a preset of the user's own; return whether it was renamed."""
    if not entry.own:
        screen.notify(f"{entry.name} came with alexplore: s saves a copy, which can be renamed", severity="warning")
        return False
    name = await screen.app.push_screen_wait(Ask(f"Rename {entry.name}", entry.name))
    if name is None or name == entry.name:
        return False
    try:
        path = rename_preset(entry.path, name)
    except AlexploreError as error:
        screen.notify(str(error), severity="error")
        return False
    if session.preset.path == entry.path:
        session.mark_renamed(path)
    screen.notify(f"{entry.name} is called {path.stem} now")
    return True


async def delete(screen: Screen[Any], session: EditSession, entry: PresetEntry) -> bool:
    """Delete a preset of the user's own after asking; return whether it was deleted."""
    if not entry.own:
        screen.notify(f"{entry.name} came with alexplore and stays", severity="warning")
        return False
    if not await screen.app.push_screen_wait(Confirm(f"Delete {entry.path}? This can't be undone.")):
        return False
    try:
        delete_preset(entry.path)
    except PresetError as error:
        screen.notify(str(error), severity="error")
        return False
    if session.preset.path == entry.path:
        session.mark_renamed(None)
    screen.notify(f"deleted {entry.path}")
    return True


async def export(screen: Screen[Any], preset: Preset) -> None:
    """Ask for a format and a file, and write the network as code or data."""
    choices = [Choice(name, form.title) for name, form in FORMATS.items()]
    to = await screen.app.push_screen_wait(Choose("Export", choices))
    if to is None:
        return
    try:
        content = export_preset(preset, to)
    except ExportError as error:
        screen.notify(str(error), severity="error")
        return
    suggestion = f"{preset.name.replace('-', '_')}{FORMATS[to].ending}"
    await ask_and_write(screen, suggestion, content)
