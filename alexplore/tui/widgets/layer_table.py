"""The table of layers. Only visible rows are rendered: a network of a thousand layers costs as much as one of ten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from alexplore.core.formatting import short_count
from alexplore.network.analysis import Analysis
from alexplore.network.layers.base import Layer
from alexplore.network.quantities import BY_KEY, NOTHING, Value, layer_value
from alexplore.network.row import Row
from alexplore.render.network_tables import reads_text
from alexplore.tui.widgets.line_widget import LineWidget

NARROW_SETTINGS, SETTINGS, WIDEST_SETTINGS = 12, 24, 44
ALWAYS_RANK = 2  # columns up to this rank have precedence over settings of full width


@dataclass(frozen=True)
class Column:
    """A column of the table.

    As the table gets wider, columns appear in the order of their `rank`. `text` is what the column shows of a row, and
    `short` what it shows where that is too long. `measure` is compared with the same row before an edit.
    """

    title: str
    width: int
    rank: int
    text: Callable[[Row], str]
    measure: Callable[[Row], object] | None = None
    left: bool = False
    short: Callable[[Row], str] | None = None


_cached_settings = lru_cache(maxsize=4096)(Layer.summary)


def _short(value: Value) -> str:
    """Return a count in four digits and a letter."""
    return short_count(value) if isinstance(value, int) and value else NOTHING


def _quantity(
    key: str, width: int, rank: int, text: Callable[[Value], str] | None = None, *, fold: bool = False
) -> Column:
    """Return the column of a declared quantity; `fold` shortens a count that is too long for it."""
    quantity = BY_KEY[key]
    written = text or quantity.text

    def value(row: Row) -> Value:
        return layer_value(quantity, row)

    short = (lambda row: _short(value(row))) if fold else None
    return Column(quantity.title, width, rank, lambda row: written(value(row)), value, short=short)


COLUMNS = (
    Column("#", 4, 0, lambda row: str(row.index)),
    Column("layer", 9, 0, lambda row: row.layer.name, lambda row: row.layer.name, left=True),
    Column("reads", 11, 1, reads_text, lambda row: row.layer.inputs, left=True),
    Column("type", 19, 5, lambda row: row.layer.type, left=True),
    Column("settings", 24, 1, lambda row: _cached_settings(row.layer), lambda row: row.layer, left=True),
    _quantity("output", 12, 0),
    _quantity("params", 12, 0, fold=True),
    _quantity("macs", 8, 2, _short),
    _quantity("receptive_field", 7, 3),
    _quantity("jump", 6, 8),
    _quantity("activation_bytes", 9, 7),
    _quantity("exchange_bytes", 9, 6),
    _quantity("neurons", 9, 9, fold=True),
    _quantity("connections", 12, 10, _short),
    _quantity("unread_border", 7, 11),
)


class LayerTable(ScrollView, LineWidget, can_focus=True):
    """Shows an analysis. With a baseline, every cell that differs from it is marked ▲ (more), ▼ (less) or ≠."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "layer-table--header",
        "layer-table--cursor",
        "layer-table--changed",
        "layer-table--error",
        "layer-table--dim",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Previous layer", show=False, tooltip="Go to the layer before"),
        Binding("down,j", "move(1)", "Next layer", show=False, tooltip="Go to the layer after"),
        Binding("pageup", "page(-1)", "Page up", show=False, tooltip="Go up by a screenful of layers"),
        Binding("pagedown", "page(1)", "Page down", show=False, tooltip="Go down by a screenful of layers"),
        Binding("home,g", "first", "First layer", show=False, tooltip="Go to the first layer"),
        Binding("end,G", "last", "Last layer", show=False, tooltip="Go to the last layer"),
    ]

    cursor: reactive[int] = reactive(0, init=False)

    @dataclass
    class Highlighted(Message):
        """The cursor moved to another layer."""

        index: int

    @dataclass
    class Chosen(Message):
        """A layer was double-clicked."""

        index: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._analysis: Analysis | None = None
        self._baseline: dict[str, Row] = {}
        self._dimmed = False
        self._columns: tuple[Column, ...] = ()
        self._name_width = 9
        self._settings_width = 24

    def show(self, analysis: Analysis, baseline: Analysis | None = None, *, dimmed: bool = False) -> None:
        """Draw an analysis and mark what differs from `baseline`; a `dimmed` one is not what is being typed."""
        self._analysis = analysis
        self._dimmed = dimmed
        self._baseline = {row.layer.name: row for row in baseline.rows} if baseline else {}
        self._name_width = min(20, max([9, *(len(row.layer.name) for row in analysis.rows)]))
        self._lay_out()
        self.set_reactive(LayerTable.cursor, min(self.cursor, max(0, len(analysis.rows) - 1)))
        self.refresh()

    def _lay_out(self) -> None:
        if self._analysis is None:
            return
        available = (self.size.width or 80) - 1
        network = self._analysis.network
        empty = {"exchange": network.towers == 1, "reads": network.is_chain}
        columns = [column for column in COLUMNS if not empty.get(column.title)]
        chosen: list[Column] = []
        for column in sorted(columns, key=lambda column: column.rank):
            self._settings_width = NARROW_SETTINGS if column.rank <= ALWAYS_RANK else SETTINGS
            if column.rank == 0 or self._total([*chosen, column]) <= available:
                chosen.append(column)
        self._columns = tuple(sorted(chosen, key=columns.index))
        self._settings_width = 0
        self._settings_width = min(WIDEST_SETTINGS, max(0, available - self._total(self._columns)))
        self.virtual_size = Size(available, len(self._analysis.rows) + 1)

    def _total(self, columns: Sequence[Column]) -> int:
        return sum(self._width(column) + 1 for column in columns)

    def _width(self, column: Column) -> int:
        return {"layer": self._name_width, "settings": self._settings_width}.get(column.title, column.width)

    def on_resize(self) -> None:
        """Choose the columns that fit; the new virtual size redraws the table."""
        self._lay_out()
        first = round(self.scroll_offset.y)
        if not first <= self.cursor < first + self.size.height - 1:  # a scroll costs a layout
            self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, self.size.width, 2), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Render one line of the view: the header, which does not scroll, or a layer."""
        width = self.size.width
        if self._analysis is None:
            return Strip.blank(width, self.style())
        if y == 0:
            style = self.style("layer-table--header")
            cells = [self._fit(column, column.title) for column in self._columns]
            return Strip([Segment(" ".join(cells), style)]).adjust_cell_length(width, style)
        index = y - 1 + round(self.scroll_offset.y)
        if index >= len(self._analysis.rows):
            return Strip.blank(width, self.style())
        return self._row_strip(self._analysis.rows[index], index == self.cursor, width)

    def _row_strip(self, row: Row, selected: bool, width: int) -> Strip:
        kind = ""
        if row.error:
            kind = "layer-table--error"
        elif self._dimmed or row.output is None or row.params == 0:
            kind = "layer-table--dim"
        base = self.style(kind)
        if selected:
            base += self.style("layer-table--cursor")
        before = self._baseline.get(row.layer.name)
        cells = [self._cell(column, row, before) for column in self._columns]
        texts = [self._fit(column, text) + " " for column, (text, _) in zip(self._columns, cells, strict=True)]
        if not any(differs for _, differs in cells):
            return Strip([Segment("".join(texts), base)]).adjust_cell_length(width, base)
        marked = self.style("layer-table--changed")
        changed = base + Style(color=marked.color, bold=marked.bold)
        styles = [changed if differs else base for _, differs in cells]
        return Strip(map(Segment, texts, styles)).adjust_cell_length(width, base)

    def _cell(self, column: Column, row: Row, before: Row | None) -> tuple[str, bool]:
        if row.output is None and column.title not in ("#", "layer", "reads", "type", "settings"):
            return ("✗" if row.error and column.title == "output" else NOTHING), False
        mark, text = "", column.text(row)
        if self._baseline and column.measure:
            if before is None:
                return (f"+{text}" if column.title == "layer" else text), True
            mark = _mark(column.measure(before), column.measure(row))
        if column.short and len(mark + text) > column.width:
            text = column.short(row)
        return mark + text, bool(mark)

    def _fit(self, column: Column, text: str) -> str:
        width = self._width(column)
        if len(text) > width:
            text = text[: width - 1] + "…"
        return text.ljust(width) if column.left else text.rjust(width)

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        last = len(self._analysis.rows) - 1 if self._analysis else 0
        return max(0, min(cursor, last))

    def watch_cursor(self, cursor: int) -> None:
        """Scroll the row into view and report it."""
        self._reveal()
        self.refresh()
        self.post_message(self.Highlighted(cursor))

    def action_move(self, step: int) -> None:
        """Move the cursor by rows."""
        self.cursor += step

    def action_page(self, direction: int) -> None:
        """Move the cursor by a page."""
        self.cursor += direction * max(1, self.size.height - 2)

    def action_first(self) -> None:
        """Go to the first layer."""
        self.cursor = 0

    def action_last(self) -> None:
        """Go to the last layer."""
        self.cursor = self.validate_cursor(10**9)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the row; a double click chooses it."""
        index = event.y - 1 + round(self.scroll_offset.y)
        if self._analysis is None or event.y < 1 or index >= len(self._analysis.rows):
            return
        self.cursor = index
        if event.chain == 2:
            self.post_message(self.Chosen(index))


def _mark(before: object, after: object) -> str:
    if before == after:
        return ""
    if isinstance(before, int) and isinstance(after, int):
        return "▲" if after > before else "▼"
    before, after = (value if isinstance(value, tuple) else (value, value) for value in (before, after))
    if len(before) == len(after) and all(isinstance(value, int) for value in (*before, *after)):
        return "▲" if after > before else "▼"
    return "≠"
