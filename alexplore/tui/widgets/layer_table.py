"""The table of layers. Only visible lines are rendered: a network of a thousand layers costs as much as one of ten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from textual.binding import Binding, BindingType

from alexplore.core.formatting import short_count
from alexplore.network.analysis import Analysis
from alexplore.network.layers.base import Layer
from alexplore.network.quantities import BY_KEY, NOTHING, Value, layer_value
from alexplore.network.row import Row
from alexplore.render.network_tables import reads_text
from alexplore.tui.columns import Claim
from alexplore.tui.widgets.table import Cell, Table
from alexplore.tui.word_filter import contains_words

SHAPES = ("output", "receptive_field", "jump", "unread_border")  # quantities that may have a number for each axis
LEAST_NAME, MOST_NAME, MOST_WIDE_NAME = 9, 20, 32  # cells for the names of layers


@dataclass(frozen=True)
class Column:
    """A column of the table.

    `text` returns the text for a row, and `short` a shorter text if that is too long. `measure` is compared with the
    same row before an edit. A column `of_layer` is also filled for layers that could not be analysed.
    """

    title: str
    claims: tuple[Claim, ...]
    text: Callable[[Row], str]
    measure: Callable[[Row], object] | None = None
    left: bool = False
    of_layer: bool = False
    doc: str = ""
    short: Callable[[Row], str] | None = None


_cached_settings = lru_cache(maxsize=4096)(Layer.summary)


def _short(value: Value) -> str:
    """Return a count in four digits and a letter."""
    return short_count(value) if isinstance(value, int) and value else NOTHING


def _layer_column(
    title: str,
    doc: str,
    *claims: Claim,
    text: Callable[[Row], str],
    measure: Callable[[Row], object] | None,
    left: bool = True,
) -> Column:
    """Return a column whose values are known without an analysis."""
    return Column(title, claims, text, measure, left, of_layer=True, doc=doc)


def _quantity(
    key: str, width: int, rank: int, text: Callable[[Value], str] | None = None, *, fold: bool = False
) -> Column:
    """Return the column of a declared quantity; `fold` shortens a count that is too long for it."""
    quantity = BY_KEY[key]
    written = text or quantity.text

    def value(row: Row) -> Value:
        return layer_value(quantity, row)

    short = (lambda row: _short(value(row))) if fold else None
    doc = f"{quantity.title}: {quantity.doc}" + (f", in {quantity.unit}" if quantity.unit else "")
    return Column(quantity.title, (Claim(rank, width),), lambda row: written(value(row)), value, doc=doc, short=short)


COLUMNS = (
    _layer_column(
        "#", "the place of the layer, from 1", Claim(0, 3), text=lambda row: str(row.index), measure=None, left=False
    ),
    _layer_column(  # claims: see `claims`
        "layer", "the name of the layer", text=lambda row: row.layer.name, measure=lambda row: row.layer.name
    ),
    _layer_column(
        "reads",
        "the layers that it reads; ↑ is the one above",
        Claim(1, 11),
        text=reads_text,
        measure=lambda row: row.layer.inputs,
    ),
    _layer_column("type", "the type of the layer", Claim(5, 19), text=lambda row: row.layer.type, measure=None),
    _layer_column(
        "settings",
        "the settings that are not at their defaults",
        *(Claim(1, 12), Claim(2.5, 22), Claim(99, 44)),
        text=lambda row: _cached_settings(row.layer),
        measure=lambda row: row.layer,
    ),
    _quantity("output", 6, 0),
    _quantity("params", 11, 0, fold=True),
    _quantity("macs", 7, 2, _short),
    _quantity("receptive_field", 6, 3),
    _quantity("jump", 5, 4),
    _quantity("activation_bytes", 9, 7),
    _quantity("exchange_bytes", 9, 6),
    _quantity("neurons", 9, 9, fold=True),
    _quantity("connections", 12, 10, _short),
    _quantity("unread_border", 7, 11),
)
BY_TITLE = {column.title: column for column in COLUMNS}
OPTIONAL_COLUMNS = tuple(column.title for column in COLUMNS if column.title not in ("#", "layer"))
"""Titles of the columns that a person may hide."""


class LayerTable(Table):
    """Shows an analysis. With a baseline, every cell that differs from it is marked ▲ (more), ▼ (less) or ≠.

    The keys that edit layers are its own: they work where it has the focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "screen.fix", "fix", tooltip="Make the smallest change that fixes the broken layer"),
        Binding("enter", "screen.edit", "edit", tooltip="Change the layer's settings or its type; numbers follow"),
        Binding("a", "screen.add", "add", tooltip="Put a new layer behind the selected one"),
        Binding("x,delete", "screen.remove", "remove", tooltip="Take the selected layer out"),
        Binding("D", "screen.duplicate", "duplicate", show=False, tooltip="Copy the selected layer behind itself"),
        Binding("K,shift+up", "screen.shift(-1)", "move up", show=False, tooltip="Move the selected layer up"),
        Binding("J,shift+down", "screen.shift(1)", "move down", show=False, tooltip="Move the selected layer down"),
        Binding("right_square_bracket", "screen.more", "more", show=False, tooltip="Unfold or scroll the arithmetic"),
        Binding("left_square_bracket", "screen.less", "less", show=False, tooltip="Scroll up or fold the arithmetic"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"layer-table--changed", "layer-table--error", "layer-table--dim"}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.border_title = "Layers"
        self._analysis: Analysis | None = None
        self._baseline: dict[str, Row] = {}
        self._dimmed = False
        self._longest_name = 0
        self._longest_shapes: Mapping[str, int] = {}  # by the quantity's key
        self.hidden_columns: tuple[str, ...] = ()
        """Titles of columns that are not shown, of `OPTIONAL_COLUMNS`."""

    def show(self, analysis: Analysis, baseline: Analysis | None = None, *, dimmed: bool = False) -> None:
        """Draw an analysis and mark what differs from `baseline`; dim it if the values being typed can't be read."""
        if analysis is not self._analysis:
            self._analysis = analysis
            self._longest_name = max((len(row.layer.name) for row in analysis.rows), default=0)
            self._longest_shapes = {key: _longest_text(key, analysis.rows) for key in SHAPES}
        self._dimmed = dimmed
        self._baseline = {row.layer.name: row for row in baseline.rows} if baseline else {}
        self.show_lines()

    def show_lines(self) -> None:
        """Draw everything again, and show which layers are in view."""
        super().show_lines()
        self._show_position()

    def on_resize(self) -> None:
        """Show which layers are in view now."""
        super().on_resize()
        self._show_position()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Show which layers are in view now."""
        super().watch_scroll_y(old, new)
        self._show_position()

    def _show_position(self) -> None:
        first = round(self.scroll_y)
        last = min(self.row_count, first + max(0, self.size.height - self.header_lines))
        position = f"{first + 1}–{last} of {self.row_count}" if self.row_count else ""
        if (self.border_subtitle or "") != position:
            self.border_subtitle = position

    @property
    def line_count(self) -> int:
        """The number of layers."""
        return len(self._analysis.rows) if self._analysis else 0

    def claims(self) -> Mapping[str, Sequence[Claim]]:
        """Return the claims of the columns that show something for this network."""
        if self._analysis is None:
            return {}
        network = self._analysis.network
        empty = {"exchange": network.towers == 1, "reads": network.is_chain}
        hidden = {title for title, is_empty in empty.items() if is_empty} | {*self.hidden_columns} & {*OPTIONAL_COLUMNS}
        claims = {column.title: column.claims for column in COLUMNS if column.title not in hidden}
        for key in SHAPES:  # shown whole: as wide as the longest, with a mark
            title = BY_KEY[key].title
            if title in claims:
                longest = self._longest_shapes[key] + 1
                claims[title] = tuple(Claim(claim.rank, max(claim.width, longest)) for claim in claims[title])
        name = max(LEAST_NAME, self._longest_name)
        claims["layer"] = (Claim(0, min(MOST_NAME, name)), Claim(2.7, min(MOST_WIDE_NAME, name)))
        return claims

    def contains(self, index: int, words: str) -> bool:
        """Return whether words are in the name, the type or the settings of a layer."""
        layer = self._row(index).layer
        return contains_words(f"{layer.name} {layer.type} {_cached_settings(layer)}", words)

    def title_doc(self, column: str) -> str:
        """Return what a column shows."""
        return BY_TITLE[column].doc

    def is_left(self, column: str) -> bool:
        """Return whether a column holds text."""
        return BY_TITLE[column].left

    def line_kind(self, index: int) -> str:
        """Return the component class of a layer's line: broken, without weights, or neither."""
        row = self._row(index)
        if row.error:
            return "layer-table--error"
        dim = self._dimmed or row.output is None or row.params == 0
        return "layer-table--dim" if dim else ""

    def _row(self, index: int) -> Row:
        assert self._analysis is not None
        return self._analysis.rows[index]

    def cell(self, index: int, column: str) -> Cell:
        """Return the cell of a layer in a column, marked if it differs from the baseline."""
        row, shown = self._row(index), BY_TITLE[column]
        if row.output is None and not shown.of_layer:
            return Cell("✗" if row.error and column == "output" else NOTHING)
        mark, text, before = "", shown.text(row), self._baseline.get(row.layer.name)
        if self._baseline and shown.measure:
            if before is None:
                return Cell(f"+{text}" if column == "layer" else text, "layer-table--changed")
            mark = _mark(shown.measure(before), shown.measure(row))
        if shown.short and len(mark + text) > self.widths[column]:
            text = shown.short(row)
        return Cell(mark + text, "layer-table--changed" if mark else "")


def _longest_text(key: str, rows: Sequence[Row]) -> int:
    """Return how long a quantity's longest text is over all layers."""
    quantity = BY_KEY[key]
    values = {layer_value(quantity, row) for row in rows}
    return max((len(quantity.text(value)) for value in values), default=0)


def _mark(before: object, after: object) -> str:
    if before == after:
        return ""
    if isinstance(before, int) and isinstance(after, int):
        return "▲" if after > before else "▼"
    before, after = (value if isinstance(value, tuple) else (value, value) for value in (before, after))
    if len(before) == len(after) and all(isinstance(value, int) for value in (*before, *after)):
        return "▲" if after > before else "▼"
    return "≠"
