"""A browser for folders and files: a field for a path, with completion, above a list of the folder."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input, Static

from alexplore.core.formatting import cut_middle
from alexplore.tui.folders import Entry, absolute, complete_path, contents_text, entries, is_folder
from alexplore.tui.named_keys import NamedKeys
from alexplore.tui.screens.dialogs import CANCEL, Dialog
from alexplore.tui.widgets.cursor_list import CursorList

UP, HERE = "../", "take this folder"


@dataclass
class Looked(Message):
    """A folder was read: its entries, and a summary of its contents."""

    folder: Path
    found: list[Entry]
    holds: str


class EntryList(CursorList):
    """Lists the folder itself if it can be chosen, the folder above it, and its entries."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "choose", tooltip="Take the folder or file, or go into a folder"),
        Binding("right,l", "choose", "into", show=False, tooltip="Go into the folder"),
        Binding("left,h,backspace", "screen.up", "above", tooltip="Go to the folder above"),
        Binding("slash", "screen.type", "path", tooltip="Type the path"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor", "entry-list--note"}

    def __init__(self, *, takes_folder: bool) -> None:
        super().__init__()
        self.takes_folder = takes_folder
        self._found: list[Entry] | None = None  # until the folder is read
        self._entries: list[Entry] = []  # those whose names contain what is typed
        self._holds = self._typed = ""

    def show(self, found: list[Entry], held: str) -> None:
        """Show the entries of a folder, and a summary of its contents."""
        self._found, self._holds = found, held
        self._list()

    def narrow(self, typed: str) -> None:
        """Show only the entries whose names contain what is typed."""
        if typed != self._typed:
            self._typed = typed
            self._list()

    def _list(self) -> None:
        self._entries = [entry for entry in self._found or () if self._typed.casefold() in entry.text.casefold()]
        self.set_reactive(CursorList.cursor, 0)
        self.scroll_to(y=0, animate=False)
        self.show_lines()

    @property
    def _before(self) -> list[str]:
        return [HERE, UP] if self.takes_folder else [UP]

    def chosen(self, index: int) -> Entry | str:
        """Return the entry of a line, or `HERE` or `UP`."""
        before = self._before
        return before[index] if index < len(before) else self._entries[index - len(before)]

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self._before) + len(self._entries)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return the name of an entry, and a note about it."""
        line = self.chosen(index)
        style = self.style("table--cursor") if selected else self.style()
        text, note = (line.text, line.note) if isinstance(line, Entry) else (line, self._note(line))
        segments = [Segment(f" {'▸ ' if text == HERE else '  '}{text}", style)]
        segments.append(Segment(f"  {note}", style if selected else self.style("entry-list--note")))
        return Strip(segments).adjust_cell_length(width, style)

    def _note(self, line: str) -> str:
        """Return the summary of the folder's contents, or that there is nothing else to choose."""
        if self._found is None:
            return "reading …" if line == self._before[0] else ""
        if line == HERE:
            return self._holds
        if self._entries or self.takes_folder:
            return ""
        return "nothing here has these letters" if self._typed else "no such files here, and no folders"


MOST_NAMED = 120  # characters of a path in a message


class PathInput(NamedKeys, Input):
    """The path, whose last part filters the list; Tab completes it, Down goes to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", priority=True, tooltip="Complete the path"),
        Binding("down", "screen.list", "list", tooltip="Go to the list"),
    ]

    suffixes: Container[str] | None = None

    def action_complete(self) -> None:
        """Complete the path as far as it is unambiguous."""
        self.value = complete_path(self.value, self.suffixes)
        self.cursor_position = len(self.value)


class Browse(Dialog[Path | None]):
    """Asks for a folder, or for a file with one of `suffixes`; the answer is its path, None if it is cancelled."""

    CSS_PATH: ClassVar[list[str | PurePath]] = ["dialogs.tcss", "browse.tcss"]

    BINDINGS: ClassVar[list[BindingType]] = [CANCEL]

    def __init__(self, title: str, start: str = "", suffixes: Container[str] | None = None) -> None:
        super().__init__()
        self._title = title
        self._suffixes = suffixes
        path = absolute(start)
        self._folder = path if is_folder(path) else next(filter(is_folder, path.parents))

    def compose(self) -> ComposeResult:
        """Yield the path, the list, and the error in the path, in a frame."""
        with Vertical(classes="dialog browse") as frame:
            frame.border_title = Text(self._title)
            frame.border_subtitle = "⏎ takes or opens · ← above · / path · f1 keys · esc cancels"
            yield PathInput(compact=True, select_on_focus=False)
            yield EntryList(takes_folder=self._suffixes is None)
            yield Static(id="wrong", markup=False)

    def on_mount(self) -> None:
        """Show the folder to start from."""
        self.query_one(PathInput).suffixes = self._suffixes
        self._go(self._folder)
        self.query_one(EntryList).focus()

    def _go(self, folder: Path) -> None:
        """Show another folder, and its path in the input."""
        typed = self.query_one(PathInput)
        with typed.prevent(Input.Changed):
            typed.value = str(folder).rstrip("/") + "/"
        typed.cursor_position = len(typed.value)
        self.query_one(EntryList).narrow("")
        self._look(folder)

    @work(thread=True, exclusive=True, group="look")
    def _look(self, folder: Path) -> None:
        """Read a folder, which may be on a slow disk."""
        try:
            found, held = entries(folder, self._suffixes), contents_text(folder)
        except OSError as error:
            found, held = [], f"{folder} can't be read: {error.strerror}"
        self.post_message(Looked(folder, found, held))

    @on(Looked)
    def _show(self, event: Looked) -> None:
        self._folder = event.folder
        self.query_one(EntryList).show(event.found, event.holds)
        self._say("")

    def _say(self, text: str) -> None:
        self.query_one("#wrong", Static).update(Text(text))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        """Follow the path while it is typed; the list shows what its last part may become."""
        path = absolute(event.value)
        folder = path if is_folder(path) else path.parent
        self.query_one(EntryList).narrow(event.value.rpartition("/")[2] if folder != path else "")
        if is_folder(folder) and folder != self._folder:
            self._look(folder)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        """Take the path that was typed."""
        path = absolute(event.value)
        if self._suffixes is None:
            if is_folder(path):
                self.dismiss(path)
            else:
                self._say(f"✗ {_name(path)} is not a folder")
        elif is_folder(path):
            self._go(path)
        elif os.path.isfile(path):  # noqa: PTH113 (see `is_folder`)
            self.dismiss(path)
        else:
            self._say(f"✗ there is no file {_name(path)}")

    @on(CursorList.Chosen)
    def _chosen(self, event: CursorList.Chosen) -> None:
        chosen = self.query_one(EntryList).chosen(event.index)
        if chosen == HERE:
            self.dismiss(self._folder)
        elif chosen == UP:
            self.action_up()
        elif isinstance(chosen, Entry):
            if chosen.is_folder:
                self._go(chosen.path)
            else:
                self.dismiss(chosen.path)

    def action_up(self) -> None:
        """Go to the folder above."""
        self._go(Path(os.path.dirname(self._folder)))  # noqa: PTH120 (as it was typed, through links)

    def action_list(self) -> None:
        """Go to the list."""
        self.query_one(EntryList).focus()

    def action_type(self) -> None:
        """Type a path."""
        self.query_one(PathInput).focus()


def _name(path: Path) -> str:
    """Return a path for a message that fits below the list."""
    return cut_middle(str(path), MOST_NAMED)
