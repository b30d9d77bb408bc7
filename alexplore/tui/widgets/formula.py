"""The arithmetic of the selected layer, with its numbers: the main lines, and the others folded."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.strip import Strip

from alexplore.network.analysis import Analysis
from alexplore.network.formula import Formula
from alexplore.network.formulas import explain
from alexplore.network.row import Row
from alexplore.presets.published import Published, check_published, published_text
from alexplore.render.wrapping import wrap_cells
from alexplore.tui.widgets.cursor_list import CursorList

LABEL_WIDTH = 18
SHORT_LABEL_WIDTH = 9
SHORT_LABELS = {"receptive field": "field"}
MAIN = ("output", "params", "MACs", "receptive field")
"""The main quantities; of a quantity along one axis, the part of its name before the comma counts."""


WHOLE_LINES = 15  # of the panel, from which all entries are shown


@dataclass(frozen=True)
class Entry:
    """A label, its text, and a note in a fainter colour; `main` entries are never folded."""

    label: str
    text: str
    note: str = ""
    main: bool = False
    wrong: bool = False


class FormulaPanel(CursorList):
    """A list of entries, folded to the main ones until `]` unless the panel is high.

    Going to another layer causes no layout.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "screen.more", "more", tooltip="Unfold the arithmetic, then scroll it down"),
        Binding("left_square_bracket", "screen.less", "less", tooltip="Scroll the arithmetic up, then fold it"),
        Binding("escape", "screen.layers", "back", tooltip="Go back to the layers"),
    ]
    FILTERED = False  # it has few lines
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "formula--label",
        "formula--text",
        "formula--note",
        "formula--wrong",
        "formula--cursor",
    }

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.folded = True
        self._entries: tuple[Entry, ...] = ()
        self._lines: list[tuple[Entry, list[tuple[str, str]]]] = []
        self._title = ""
        self._width = 0

    def show(self, entries: Iterator[Entry], title: str) -> None:
        """Show entries; another title scrolls back to the first one."""
        self._entries = tuple(entries)
        if self._title != title:
            self._title = title
            self.border_title = title.replace("[", "\\[")
            self.set_reactive(CursorList.cursor, 0)
            self.scroll_to(y=0, animate=False)
        self._wrap()

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._wrap()
        super().on_resize()

    def on_focus(self) -> None:
        """Draw the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Update the number of lines that are below the view."""
        super().watch_scroll_y(old, new)
        self._show_rest()

    def unfold(self) -> None:
        """Show all entries, or scroll down by half a screenful."""
        if self._is_folded:
            self.folded = False
            self._wrap()
        else:
            self.scroll_to(y=min(self.max_scroll_y, self.scroll_y + self._half), animate=False)

    def fold(self) -> None:
        """Scroll up by half a screenful, or show the main entries alone."""
        if round(self.scroll_y) > 0:
            self.scroll_to(y=max(0, self.scroll_y - self._half), animate=False)
        elif not self.folded:
            self.folded = True
            self._wrap()

    @property
    def _half(self) -> int:
        return max(1, self.size.height // 2)

    @property
    def hidden(self) -> Sequence[Entry]:
        """The entries that are folded away."""
        return [entry for entry in self._entries if not entry.main] if self._is_folded else ()

    @property
    def _is_folded(self) -> bool:
        low = self.size.height < WHOLE_LINES
        return self.folded and low and any(entry.main for entry in self._entries)

    def _wrap(self) -> None:
        self._width = self.size.width or 80
        shown = [entry for entry in self._entries if entry.main or not self._is_folded]
        label = SHORT_LABEL_WIDTH if self._is_folded else LABEL_WIDTH
        room = max(10, self._width - label - 1)
        self._lines = []
        for entry in shown:
            name = SHORT_LABELS.get(entry.label, entry.label) if self._is_folded else entry.label
            whole = len(entry.text) + 2 + len(entry.note) <= room
            note = entry.note if whole or not self._is_folded else ""  # a formula is wrapped, its note left out
            self._lines += [(entry, line) for line in _wrapped(name, entry, note, label, room)]
        if self.hidden and len(self._lines) < self.size.height:
            self._lines.append((Entry("▸", self._summary()), [("▸ ", "label"), (self._summary(), "note")]))
        # Set without the reactive's layout of the screen, which a change of the scrollable height does not need.
        self.set_reactive(FormulaPanel.virtual_size, Size(self._width, len(self._lines)))
        self.set_reactive(CursorList.cursor, min(self.cursor, max(0, len(self._lines) - 1)))
        self.scroll_to(y=min(self.scroll_y, self.max_scroll_y), animate=False)
        self._show_rest()
        self.refresh()

    def _summary(self) -> str:
        """Return a summary of the folded entries in one line."""
        published = [entry for entry in self.hidden if entry.label == "published"]
        labels = [entry.label for entry in self.hidden if entry.label != "published"]
        labels = [label.removesuffix(" bytes") for label in dict.fromkeys(labels)] or [""]
        wrong = sum(entry.wrong for entry in published)
        numbers = f" · {len(published)} published" if published else ""
        numbers += f", {wrong} differ{'s' if wrong == 1 else ''} ✗" if wrong else " ✓" if published else ""
        room = max(0, self.size.width - 2 - len(numbers))
        names = textwrap.shorten(", ".join(labels), room, placeholder=" …") if room > len(labels[0]) + 2 else ""
        return (names + numbers).removeprefix(" · ")

    def _show_rest(self) -> None:
        below = len(self._lines) - round(self.scroll_y) - self.size.height
        if self.hidden:
            rest = f"] {len(self.hidden)} more"
        elif below > 0 and self._lines:
            less = " · \\[ less" if self.scroll_y > 0 or not self.folded else ""
            rest = f"↓ {below} more{less}"
        else:
            foldable = not self.folded and self.size.height < WHOLE_LINES and any(entry.main for entry in self._entries)
            rest = "\\[ less" if foldable else ""
        if (self.border_subtitle or "") != rest:
            self.border_subtitle = rest

    # Drawing

    @property
    def line_count(self) -> int:
        """The number of lines, a wrapped entry taking several."""
        return len(self._lines)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a line: the label, then text and note."""
        _, pieces = self._lines[index]
        cursor = self.style("formula--cursor") if selected and self.has_focus else None
        segments = [Segment(text, self.style(f"formula--{kind}") + cursor) for text, kind in pieces]
        base = self.style() + cursor if cursor else self.style()
        return Strip(segments).adjust_cell_length(width, base)

    def copied_text(self) -> str:
        """Return the entry under the cursor, whole."""
        if not self._lines:
            return ""
        entry, _ = self._lines[self.cursor]
        return "  ".join(filter(None, (entry.label, entry.text, entry.note)))


def layer_entries(row: Row, analysis: Analysis, published: tuple[Published, ...]) -> Iterator[Entry]:
    """Yield the numbers of a layer, or the changes that fix it; its error is shown with the totals."""
    if row.error:
        yield Entry("broken", "it can't read its input", "numbers follow when it is fixed")
        yield from (Entry("fixed by", fix.text, "f" if fix is row.fixes[0] else "") for fix in row.fixes)
        return
    if row.output is None:
        yield Entry("–", "not computed: a layer before this one is broken")
        return
    for formula in explain(row, analysis.network):
        main = formula.quantity.split(",")[0] in MAIN
        yield Entry(formula.quantity, formula.text, _note(formula, analysis), main)
    if row.layer.inputs:
        yield Entry("reads", ", ".join(row.layer.inputs))
    if settings := row.layer.summary():
        yield Entry("settings", settings)
    init = row.layer.initial_weights
    if init is not None:
        yield Entry("initial values", init.text)
    for checked in check_published(tuple(one for one in published if one.layer == row.layer.name), analysis):
        yield Entry("published", published_text(checked), wrong=checked.confirmed is False)


def _note(formula: Formula, analysis: Analysis) -> str:
    """Return the note beside a formula: for parameters and MACs, their share of the network's."""
    totals = {"params": analysis.totals.params, "MACs": analysis.totals.macs}
    whole = totals.get(formula.quantity, 0)
    if formula.value and whole:
        of = "what could be computed" if analysis.totals.partial else "the network"
        return f"{_percent(formula.value / whole)} of {of}"
    if formula.quantity.startswith("receptive field"):
        return formula.note.replace("input pixels", "px that one output sees")
    if formula.quantity == "MACs" and not formula.value:
        return "it has no weights"
    return formula.note or formula.rule


def _percent(share: float) -> str:
    """Return a share as 15 %, 1.5 % or 0.06 %."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _wrapped(name: str, entry: Entry, note: str, label_width: int, room: int) -> Iterator[list[tuple[str, str]]]:
    """Yield the lines of an entry as pieces of text with their kinds: the label, then the wrapped text and note."""
    text, note = " ".join(entry.text.split()), " ".join(note.split())  # as they are wrapped
    whole = f"{text}  {note}" if note else text
    label, done = name, 0
    kind = "wrong" if entry.wrong else "text"
    for line in wrap_cells(whole, room, break_on_hyphens=False) or [""]:
        start = whole.index(line, done)
        done = start + len(line)
        cut = max(0, min(len(line), len(text) - start))
        yield [(f"{label:<{label_width}} ", "label"), (line[:cut], kind), (line[cut:], "note")]
        label = ""
