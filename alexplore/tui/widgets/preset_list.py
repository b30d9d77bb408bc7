"""The list of presets by family, the user's own last, with their sizes and what it takes to train them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from alexplore.core.formatting import short_count
from alexplore.tui.columns import fit
from alexplore.tui.preset_catalog import START_HERE, Line, PresetEntry, heading_text, list_lines
from alexplore.tui.widgets.cursor_list import CursorList

SIZE_WIDTH = 6
NAME_WIDTH, TITLE_WIDTH = 21, 20  # if there is room for titles


class PresetList(CursorList):
    """Shows ▶ before the preset that is open and ● before those marked for a comparison."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", tooltip="Open the preset under the cursor"),
        Binding("slash", "filter", "filter", tooltip="List only the presets that contain some words"),
        Binding("space", "mark", "mark", tooltip="Mark the preset for a comparison; d compares"),
        Binding("escape", "leave", "back", tooltip="Go back to the layers"),
        Binding("n", "screen.new_network", "new", tooltip="Begin a network from nothing"),
        Binding("R", "screen.rename_preset", "rename", tooltip="Rename a preset of your own"),
        Binding("delete", "screen.delete_preset", "delete", tooltip="Delete a preset of your own"),
    ]
    ENTER_CHOOSES = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "preset-list--head",
        "preset-list--need",
        "preset-list--open",
        "preset-list--error",
        "preset-list--cursor",
    }

    @dataclass
    class Left(Message):
        """Escape was pressed, to go back to the preset that is open."""

    def __init__(self, *, marks: bool = True, id: str | None = None, classes: str | None = None) -> None:
        """Show presets; without `marks`, none can be marked."""
        super().__init__(id=id, classes=classes)
        self._marks = marks
        self.entries: Sequence[PresetEntry] = ()
        self.opened = ""
        self.marked: list[str] = []
        self._lines: list[Line] = []

    # What is listed

    def show(self, entries: Sequence[PresetEntry]) -> None:
        """List entries; the cursor stays on its preset."""
        self.entries = entries
        self.marked = [name for name in self.marked if name in {entry.name for entry in entries}]
        self._list()

    def point_at(self, name: str) -> None:
        """Mark a preset as the one that is open, and put the cursor on it; all presets are listed again."""
        self.opened = name
        self.filter.clear()
        self._list()
        self._go_to(name)

    @property
    def selected(self) -> PresetEntry | None:
        """The preset under the cursor."""
        line = self._lines[self.cursor] if self.cursor < len(self._lines) else ""
        return None if isinstance(line, str) else line

    def _list(self) -> None:
        selected = self.selected
        self._lines = list(list_lines(self.entries))
        self.show_lines()
        self._go_to(selected.name if selected else self.opened)
        self.border_title = f"Presets · {len(self.entries)}"
        self.border_subtitle = "⏎ opens · / finds"

    def _filter_changed(self) -> None:
        """List what matches the words, and go to the preset with that name, or whose name begins so, or the first."""
        super()._filter_changed()
        words = self.filter.words.strip().casefold()
        names = {
            index: line.name.casefold()
            for index, line in enumerate(self._lines)
            if not isinstance(line, str) and self.is_listed(index)
        }
        if self.filter.typing and words and names:
            self.cursor = min(names, key=lambda index: (names[index] != words, not names[index].startswith(words)))

    def _go_to(self, name: str) -> None:
        names = [None if isinstance(line, str) else line.name for line in self._lines]
        if name in names and self.is_listed(names.index(name)):
            self.cursor = names.index(name)

    # Drawing

    @property
    def line_count(self) -> int:
        """The number of presets and headings."""
        return len(self._lines)

    def contains(self, index: int, words: str) -> bool:
        """Return whether a preset matches some words, or one under a heading does."""
        line = self._lines[index]
        if isinstance(line, str):
            return any(entry.family == line and entry.matches(words) for entry in self.entries)
        return line.matches(words)

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
        """Hide the cursor."""
        self.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key works."""
        return self._marks if action == "mark" else super().check_action(action, parameters)

    def action_mark(self) -> None:
        """Mark the preset under the cursor, or remove its mark."""
        if self.selected is not None:
            name = self.selected.name
            self.marked = [one for one in self.marked if one != name] + ([] if name in self.marked else [name])
            self.refresh()

    def action_leave(self) -> None:
        """Clear the filter if there is one, else go back to the preset that is open."""
        if self.filter.active:
            self.action_clear_filter()
        else:
            self._go_to(self.opened)
            self.post_message(self.Left())
