"""The base of tables: a list whose lines have columns, as many of them as the width has room for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from alexplore.tui.columns import GAP, Claim, fit, gap_within, share_width
from alexplore.tui.widgets.cursor_list import CursorList


@dataclass(frozen=True)
class Cell:
    """The text of a line in a column, and the component class of its colour, "" for the colour of the line."""

    text: str
    kind: str = ""


class Table(CursorList):
    """Draws cells in columns below a line of titles, which can be clicked.

    A subclass names the columns and what each claims of the width, and returns the cells of a line.
    """

    HEADER_LINES = 1
    MOST_GAP: ClassVar[int] = GAP
    """The most blank cells after each column, if there is room for them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor"}

    @dataclass
    class TitleClicked(Message):
        """The title of a column was clicked."""

        source: Table
        column: str

        @property
        def control(self) -> Table:
            """The table, for `@on(…, "#id")`."""
            return self.source

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.widths: dict[str, int] = {}
        self.gap = GAP
        self._accents: dict[tuple[str, Style], Style] = {}

    # Defined by subclasses

    @abstractmethod
    def claims(self) -> Mapping[str, Sequence[Claim]]:
        """Return what each column claims of the width, in the order of the columns."""

    @abstractmethod
    def cell(self, index: int, column: str) -> Cell:
        """Return the cell of a line in a column."""

    def title(self, column: str) -> str:
        """Return the title of a column."""
        return column

    def title_doc(self, column: str) -> str:
        """Return what a column shows, for the tooltip of its title."""
        return ""

    def is_left(self, column: str) -> bool:
        """Return whether a column is aligned at the left; numbers are at the right."""
        return False

    def line_kind(self, index: int) -> str:
        """Return the component class of a line, "" for none."""
        return ""

    # Drawing

    def show_lines(self) -> None:
        """Distribute the width and draw everything again, after the lines changed."""
        self._lay_out()
        super().show_lines()

    def on_resize(self) -> None:
        """Distribute the new width."""
        self._lay_out()
        super().on_resize()

    def _lay_out(self) -> None:
        available = (self.size.width or 80) - 1
        self.widths = share_width(self.claims(), available)
        self.gap = gap_within(self.widths, available, self.MOST_GAP)

    def notify_style_update(self) -> None:
        """Clear the cached styles."""
        self._accents = {}
        super().notify_style_update()

    def header_strip(self, width: int) -> Strip:
        """Return the titles of the columns."""
        style = self.style("table--header")
        titles = [fit(self.title(name), cells, left=self.is_left(name)) for name, cells in self.widths.items()]
        return Strip([Segment((" " * self.gap).join(titles), style)]).adjust_cell_length(width, style)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return the cells of a line."""
        base = self.style(self.line_kind(index))
        if selected:
            base += self.style("table--cursor")
        texts: list[str] = []
        style, segments = base, []
        for name, cells in self.widths.items():
            cell = self.cell(index, name)
            on_cursor = selected and self.has_focus  # accents would not be readable on its colours
            wanted = self._accent(cell.kind, base) if cell.kind and not on_cursor else base
            if wanted is not style and texts:
                segments.append(Segment("".join(texts), style))
                texts = []
            style = wanted
            texts.append(fit(cell.text, cells, left=self.is_left(name)) + " " * self.gap)
        segments.append(Segment("".join(texts), style))
        return Strip(segments).adjust_cell_length(width, base)

    def _accent(self, kind: str, base: Style) -> Style:
        """Return a line's style in the colour and weight of a component class, on the line's own background."""
        key = (kind, base)
        if key not in self._accents:
            accent = self.style(kind)
            self._accents[key] = base + Style(color=accent.color, bold=accent.bold)
        return self._accents[key]

    def _column_at(self, x: int) -> str | None:
        left = 0
        for name, cells in self.widths.items():
            if left <= x < left + cells + self.gap:
                return name
            left += cells + self.gap
        return None

    def on_header_clicked(self, x: int) -> None:
        """Report the column whose title was clicked."""
        if column := self._column_at(x):
            self.post_message(self.TitleClicked(self, column))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Explain the column whose title is under the pointer."""
        offset = event.get_content_offset(self)
        on_title = offset is not None and self.filter.active <= offset.y < self.header_lines
        column = self._column_at(offset.x) if offset is not None and on_title else None
        doc = self.title_doc(column) if column else None
        if (self.tooltip or None) != (doc or None):
            self.tooltip = doc or None
