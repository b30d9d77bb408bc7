"""A log of lines with times, wrapped to the width; it follows its end unless the cursor was moved up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from alexplore.render.wrapping import wrap_cells
from alexplore.tui.log_entry import LogEntry
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.word_filter import contains_words

KEPT_ENTRIES = 1000


@dataclass(frozen=True)
class _Row:
    """One wrapped line of an entry."""

    entry: LogEntry
    text: str
    first: bool


class LogView(CursorList):
    """Shows log entries, the newest at the bottom."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--cursor",
        "log-view--time",
        "log-view--warning",
        "log-view--error",
    }
    DEFAULT_CSS = """
    LogView {
        .log-view--time { color: $faint; }
        .log-view--warning { color: $careful; }
        .log-view--error { color: $bad; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._entries: list[LogEntry] = []
        self._rows: list[_Row] = []
        self._wrapped_to = 0

    @property
    def entries(self) -> list[LogEntry]:
        """The entries that are kept."""
        return self._entries

    @property
    def line_count(self) -> int:
        """The number of wrapped lines."""
        return len(self._rows)

    def add(self, entries: Iterable[LogEntry]) -> None:
        """Add entries at the end, which stays in view if the cursor was there."""
        entries = list(entries)
        if not entries:
            return
        at_end = self._is_at_end
        self._entries = [*self._entries, *entries][-KEPT_ENTRIES:]
        self._wrap()
        if at_end:
            self._go_to_end()

    def clear(self) -> None:
        """Remove all entries."""
        self._entries = []
        self._wrap()

    def on_resize(self) -> None:
        """Wrap to the new width; the log stays at its end if it was there."""
        at_end = self._is_at_end
        if self._room != self._wrapped_to:
            self._wrap()
        super().on_resize()
        if at_end:
            self._go_to_end()

    @property
    def _is_at_end(self) -> bool:
        return self.row_of(self.cursor) >= self.row_count - 1

    def _go_to_end(self) -> None:
        self.set_reactive(CursorList.cursor, self._nearest(self.row_count - 1, -1))
        self.call_after_refresh(self._reveal)
        self.refresh()

    @property
    def _room(self) -> int:
        return max(10, (self.size.width or 80) - 1)

    def _wrap(self) -> None:
        self._wrapped_to = self._room
        rows: list[_Row] = []
        for entry in self._entries:
            indent = len(entry.time) + 1 if entry.time else 0
            room = max(10, self._room - indent)
            lines = [entry.text] if cell_len(entry.text) <= room else wrap_cells(entry.text, room) or [""]
            rows += [_Row(entry, line, number == 0) for number, line in enumerate(lines)]
        self._rows = rows
        self.show_lines()

    def contains(self, index: int, words: str) -> bool:
        """Return whether words are in the entry that a line belongs to."""
        entry = self._rows[index].entry
        return contains_words(f"{entry.time} {entry.text}", words)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a wrapped line; only the first one of an entry has its time."""
        row = self._rows[index]
        base = self.style("table--cursor") if selected and self.has_focus else self.style()
        style = base if not row.entry.kind or base is not self.style() else self.style(f"log-view--{row.entry.kind}")
        segments = []
        if row.entry.time:
            stamp = row.entry.time if row.first else " " * len(row.entry.time)
            segments.append(Segment(f"{stamp} ", base if base is not self.style() else self.style("log-view--time")))
        segments.append(Segment(row.text, style))
        return Strip(segments).adjust_cell_length(width, base)

    def copied_text(self) -> str:
        """Return the whole entry under the cursor."""
        if not self._rows:
            return ""
        entry = self._rows[self.cursor].entry
        return f"{entry.time} {entry.text}".strip()
