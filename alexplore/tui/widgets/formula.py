"""Shows the arithmetic of the selected layer, with its numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from alexplore.network.analysis import Analysis
from alexplore.network.formulas import explain
from alexplore.network.row import Row
from alexplore.presets.published import Published, check_published, published_text
from alexplore.tui.widgets.line_widget import LineWidget

LABEL_WIDTH = 18


@dataclass(frozen=True)
class Entry:
    """A label, its text, and a note in a fainter colour."""

    label: str
    text: str
    note: str = ""


class FormulaPanel(ScrollView, LineWidget, can_focus=True):
    """A list of entries that scrolls. It renders its own lines, so that going to another layer causes no layout."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"formula--label", "formula--text", "formula--note"}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._entries: tuple[Entry, ...] = ()
        self._lines: list[list[tuple[str, str]]] = []
        self._title = ""
        self._width = 0

    def show(self, entries: Iterator[Entry], title: str) -> None:
        """Show entries; another title scrolls back to the first one."""
        if self._title != title:
            self._title = title
            self.border_title = Text(title)
            self.scroll_to(y=0, animate=False)
        self._entries = tuple(entries)
        self._wrap()
        self._show_rest()
        self.refresh()

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._wrap()
        self._show_rest()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Update the number of lines that are below the view."""
        super().watch_scroll_y(old, new)
        self._show_rest()

    def _wrap(self) -> None:
        self._width = self.content_size.width or 80
        self._lines = [line for entry in self._entries for line in _wrapped(entry, self._width)]
        # Set without the reactive's layout of the screen, which a change of the scrollable height does not need.
        self.set_reactive(FormulaPanel.virtual_size, Size(self._width, len(self._lines)))
        self.scroll_to(y=min(self.scroll_y, self.max_scroll_y), animate=False)

    def _show_rest(self) -> None:
        below = len(self._lines) - round(self.scroll_y) - self.content_size.height
        rest = f"↓ {below} more" if below > 0 and self._lines else ""
        if (self.border_subtitle or "") != rest:
            self.border_subtitle = rest

    def render_line(self, y: int) -> Strip:
        """Render one line of the view."""
        index = y + round(self.scroll_offset.y)
        if self._width != self.content_size.width:
            self._wrap()
        pieces = self._lines[index] if index < len(self._lines) else []
        segments = [Segment(text, self.style(f"formula--{kind}")) for text, kind in pieces]
        return Strip(segments).adjust_cell_length(self.size.width, self.style())


def layer_entries(row: Row, analysis: Analysis, published: tuple[Published, ...]) -> Iterator[Entry]:
    """Yield the numbers of a layer, or its error and the changes that fix it."""
    if row.error:
        yield Entry("✗", row.error)
        yield from (Entry("fixed by", fix.text) for fix in row.fixes)
        return
    if row.output is None:
        yield Entry("–", "not computed: a layer before this one is broken")
        return
    if row.layer.inputs:
        yield Entry("reads", ", ".join(row.layer.inputs))
    if settings := row.layer.summary():
        yield Entry("settings", settings)
    for formula in explain(row, analysis.network):
        yield Entry(formula.quantity, formula.text, formula.note)
    init = row.layer.initial_weights
    if init is not None:
        yield Entry("initial values", init.text)
    for checked in check_published(tuple(one for one in published if one.layer == row.layer.name), analysis):
        yield Entry("published", published_text(checked))


def _wrapped(entry: Entry, width: int) -> Iterator[list[tuple[str, str]]]:
    """Yield the lines of an entry as pieces of text with their kinds: the label, then the wrapped text and note."""
    room = max(10, width - LABEL_WIDTH - 1)
    whole = f"{entry.text}  {entry.note}" if entry.note else entry.text
    label, done = entry.label, 0
    for line in textwrap.wrap(whole, room, break_on_hyphens=False) or [""]:
        start = whole.index(line, done)
        done = start + len(line)
        cut = max(0, min(len(line), len(entry.text) - start))
        yield [(f"{label:<{LABEL_WIDTH}} ", "label"), (line[:cut], "text"), (line[cut:], "note")]
        label = ""
