"""The list of presets by family, the user's own last, with their sizes and what it takes to train them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from alexplore.core.formatting import short_count
from alexplore.tui.columns import fit
from alexplore.tui.preset_catalog import START_HERE, Line, PresetEntry, heading_text, list_lines
from alexplore.tui.widgets.cursor_list import CursorList

SIZE_WIDTH = 6
NAME_WIDTH, TITLE_WIDTH = 21, 20  # where there is room for titles


class PresetList(CursorList):
    """Shows ▶ before the preset that is open and ● before those marked for a comparison; `/` filters."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", tooltip="Open the preset under the cursor"),
        Binding("slash", "filter", "filter", tooltip="List only the presets that contain some words"),
        Binding("space", "mark", "mark", tooltip="Mark the preset for a comparison; d compares"),
        Binding("escape", "leave", "back", tooltip="Go back to the layers"),
        Binding("n", "screen.new_network", "new", tooltip="Begin a network from nothing"),
        Binding("R", "screen.rename_preset", "rename", tooltip="Rename a preset of your own"),
        Binding("delete", "screen.delete_preset", "delete", tooltip="Delete a preset of your own"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "preset-list--head",
        "preset-list--need",
        "preset-list--open",
        "preset-list--error",
        "preset-list--cursor",
    }

    @dataclass
    class Left(Message):
        """Escape was pressed: back to what is open."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id)
        self.set_classes(classes or "")
        self.entries: Sequence[PresetEntry] = ()
        self.opened = ""
        self.marked: list[str] = []
        self.words = ""
        self._typing = False
        self._lines: list[Line] = []

    # What is listed

    def show(self, entries: Sequence[PresetEntry]) -> None:
        """List entries; the cursor stays on its preset."""
        self.entries = entries
        self.marked = [name for name in self.marked if name in {entry.name for entry in entries}]
        self._list()

    def point_at(self, name: str) -> None:
        """Mark a preset as the one that is open, and put the cursor on it; all presets are listed again."""
        self.opened, self.words, self._typing = name, "", False
        self._list()
        self._go_to(name)

    @property
    def selected(self) -> PresetEntry | None:
        """The preset under the cursor."""
        line = self._lines[self.cursor] if self.cursor < len(self._lines) else ""
        return None if isinstance(line, str) else line

    def _list(self) -> None:
        selected = self.selected
        self._lines = list(list_lines(self.entries, self.words))
        self.show_lines()
        if selected in self._lines or not self._typing:
            self._go_to(selected.name if selected else self.opened)
        else:
            self.cursor = 0  # the first that matches
        typed = f"/{self.words}" + ("▏" if self._typing else "")
        self.border_title = f"Presets · {typed}" if self._typing or self.words else f"Presets · {len(self.entries)}"
        if not self._lines:
            self.border_subtitle = "no match · esc clears"
        elif self._typing or self.words:
            self.border_subtitle = "⏎ opens · esc clears"
        else:
            self.border_subtitle = "⏎ opens · / finds"

    def _go_to(self, name: str) -> None:
        names = [None if isinstance(line, str) else line.name for line in self._lines]
        if name in names:
            self.cursor = names.index(name)

    # Drawing

    @property
    def line_count(self) -> int:
        """The number of presets and headings."""
        return len(self._lines)

    def is_heading(self, index: int) -> bool:
        """Return whether a line names a family."""
        return isinstance(self._lines[index], str)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a heading with what its presets need, or a preset with its size."""
        line = self._lines[index]
        base = self.style()
        if isinstance(line, str):
            title, need = heading_text(line, self.entries)
            head, note = self.style("preset-list--head"), self.style("preset-list--need")
            room = max(0, width - len(title))
            texts = [Segment(title, head), Segment(fit(need, room) if len(need) < room else "", note)]
            return Strip(texts).adjust_cell_length(width, base)
        name = line.name + (" ★" if line.name == START_HERE else "")
        size = "✗" if line.error else "" if line.params is None else short_count(line.params)
        marks = ("▶" if line.name == self.opened else " ") + ("●" if line.name in self.marked else " ")
        room = max(0, width - SIZE_WIDTH - len(marks))
        if room > NAME_WIDTH + TITLE_WIDTH:  # the title, too
            name = fit(name, NAME_WIDTH, left=True) + line.title
        text = marks + fit(name, room, left=True) + fit(size, SIZE_WIDTH)
        kind = "preset-list--error" if line.error else "preset-list--open" if line.name == self.opened else ""
        style = self.style(kind)
        if selected and self.has_focus:
            style += self.style("preset-list--cursor")
        return Strip([Segment(text, style)]).adjust_cell_length(width, base)

    def copied_text(self) -> str:
        """Return the name of the preset under the cursor."""
        return self.selected.name if self.selected else ""

    # Keys

    def on_focus(self) -> None:
        """Draw the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor, end typing, and keep what was typed."""
        self._typing = False
        self._list()

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Return whether a key is typed into the filter, so that the keys below do not offer it."""
        return self._typing and character is not None and character.isprintable()

    def on_key(self, event: events.Key) -> None:
        """Type into the filter."""
        if not self._typing:
            return
        if event.is_printable and event.character:
            self.words += event.character
        elif event.key == "backspace":
            self.words = self.words[:-1]
        elif event.key in ("enter", "down"):
            self._typing = False
            if event.key == "down":
                event.stop()
            self._list()
            return
        else:
            return
        event.stop()
        event.prevent_default()
        self._list()

    def action_filter(self) -> None:
        """Begin to type words."""
        self._typing = True
        self._list()
        self.screen.refresh_bindings()

    def action_mark(self) -> None:
        """Mark the preset under the cursor, or take the mark away."""
        if self.selected is not None:
            name = self.selected.name
            self.marked = [one for one in self.marked if one != name] + ([] if name in self.marked else [name])
            self.refresh()

    def action_leave(self) -> None:
        """Clear the filter if there is one, else go back to the preset that is open."""
        if self._typing or self.words:
            self._typing, self.words = False, ""
            self._list()
            self.screen.refresh_bindings()
        else:
            self._go_to(self.opened)
            self.post_message(self.Left())
