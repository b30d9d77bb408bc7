"""Tables and labelled lines that fit the width of the terminal without cutting names or numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.text import Text

from alexplore.core.formatting import with_ellipsis
from alexplore.core.inert import inert

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.table import Table

GAP, EDGES = 2, 2  # blank characters between two columns, and at both sides of the table together
RULE = "─"


class Column(NamedTuple):
    """A column of a table.

    As the table gets narrower, the columns with the highest `rank` are left out first, all columns of a rank together;
    those with rank 0 are always shown. `left` aligns text at the left. A column with a `least` may be shortened to that
    many characters; a column without one is never shortened.
    """

    title: str
    rank: int = 0
    left: bool = False
    least: int = 0


class FittingTable:
    """A table that fits the width in which it is printed.

    Columns with a `least` are shortened, columns with a rank are left out; a column with a rank that holds nothing is
    never shown. If the remaining columns are still too wide, their words wrap: only then Rich's `Table` lays it out,
    which takes longer to import and to lay out than the rest of `alexplore shapes`.
    """

    def __init__(self, *columns: Column, title: str = "") -> None:
        self._columns, self._title = columns, inert(title)
        self._cells: list[list[str]] = [[] for _ in columns]
        self._whole = [max(1, cell_len(column.title)) for column in columns]
        self._styles: list[str] = []
        self._one_line = _is_one_line(self._title)

    def add(self, *cells: str, style: str = "") -> None:
        """Add a row; missing cells at its end are empty."""
        for index, cell in enumerate(map(inert, (*cells, *[""] * (len(self._columns) - len(cells))))):
            self._cells[index].append(cell)
            self._whole[index] = max(self._whole[index], cell_len(cell))
            self._one_line = self._one_line and _is_one_line(cell)
        self._styles.append(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text | Segment]:
        shown, widths = self._layout(options.max_width)
        if widths and self._one_line:
            yield from self._lines(console, shown, widths)
        else:
            yield self._table(shown, widths)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement.get(console, options, self._table(*self._layout(options.max_width)))

    def _layout(self, available: int) -> tuple[list[int], list[int]]:
        """Return the indices of the columns that are shown, and their widths; no widths if their words have to wrap."""
        shown = self._chosen(available)
        cap = next((cap for cap in range(max(self._whole), 0, -1) if self._width(shown, cap) <= available), 0)
        return shown, [self._column_width(index, cap) for index in shown] if cap else []

    def _lines(self, console: Console, shown: list[int], widths: list[int]) -> Iterator[Text | Segment]:
        """Yield the lines of the table, which look like those of `_table`, if no cell has to wrap.

        A title that is longer than these lines is not wrapped to their width, as Rich does, but to the terminal's.
        """
        columns = [self._columns[index] for index in shown]
        width = sum(widths) + GAP * len(widths)

        def line(cells: Sequence[str]) -> str:
            fitted = (_fitted(*one) for one in zip(cells, widths, columns, strict=True))
            return f" {(' ' * GAP).join(fitted)} "

        if cell_len(self._title) > width:
            yield Text(self._title, style="bold")
        elif self._title:
            yield Segment(set_cell_size(self._title, width), console.get_style("bold"))
            yield Segment.line()
        rows = zip(self._styles, zip(*(self._cells[index] for index in shown), strict=True), strict=True)
        for style, text in (
            ("", " " * width),
            ("table.header", line([column.title for column in columns])),
            ("", f" {RULE * (width - EDGES)} "),
            *((style, line(cells)) for style, cells in rows),
            ("", " " * width),
        ):
            yield Segment(text, console.get_style(style) if style else None)
            yield Segment.line()

    def _table(self, shown: list[int], widths: list[int]) -> Table:
        """Return Rich's table, which wraps words if `widths` is empty."""
        from rich import box
        from rich.table import Table

        title = Text(self._title, style="bold") if self._title else None
        table = Table(
            title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0)
        )
        columns = [self._columns[index] for index in shown]
        cells = widths or [self._column_width(index, 0) for index in shown]
        for column, width in zip(columns, cells, strict=True):
            words = column.left and not column.least
            table.add_column(
                Text(column.title),
                justify="left" if column.left else "right",
                width=width if widths or column.least else None,
                no_wrap=not words,
                overflow="fold" if words else "ellipsis",
            )
        for number, style in enumerate(self._styles):
            texts = [self._cells[index][number] for index in shown]
            places = zip(texts, cells, columns, strict=True)
            table.add_row(*(Text(_fitted(*one) if one[2].least else one[0]) for one in places), style=style)
        return table

    def _chosen(self, available: int) -> list[int]:
        """Return the indices of the columns that fit in `available` characters."""
        chosen: list[int] = []
        for rank in sorted({column.rank for column in self._columns}):
            more = [index for index, column in enumerate(self._columns) if column.rank == rank]
            if rank:
                more = [index for index in more if any(self._cells[index])]
            if not rank or self._width(chosen + more) <= available:
                chosen += more
        return sorted(chosen)

    def _width(self, columns: Sequence[int], cap: int = 0) -> int:
        return EDGES + sum(self._column_width(index, cap) + GAP for index in columns) - GAP

    def _column_width(self, index: int, cap: int) -> int:
        """Return the width of a column if those that may be shortened are at most `cap` characters wide."""
        whole, least = self._whole[index], self._columns[index].least
        return min(whole, max(cap, least)) if least else whole


Texts = tuple[str, Sequence[str]]
"""The title of a column, and its cells."""


def tables_in_width(first: Sequence[Texts], others: Sequence[Texts], width: int) -> Iterator[FittingTable]:
    """Yield tables with the columns `first` and as many of the `others` as fit into `width`, each with at least one.

    So no name and no number is cut, however many columns there are.
    """
    room = width - EDGES - sum(_texts_width(column) for column in first)
    block: list[Texts] = []
    for column in others:
        if block and sum(map(_texts_width, (*block, column))) > room:
            yield _table_of([*first, *block])
            block = []
        block.append(column)
    yield _table_of([*first, *block])


def _texts_width(column: Texts) -> int:
    title, cells = column
    return max(cell_len(inert(text)) for text in (title, *cells)) + GAP


def _table_of(columns: Sequence[Texts]) -> FittingTable:
    table = FittingTable(*(Column(inert(title), left=True) for title, _ in columns))
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add(*row)
    return table


def _is_one_line(text: str) -> bool:
    return "\n" not in text and "\t" not in text


def _fitted(text: str, width: int, column: Column) -> str:
    """Return a cell's text in the width of its column, shortened if it does not fit."""
    if not column.left:
        text = text.rstrip()
    blanks = width - cell_len(text)
    if blanks < 0:
        text = with_ellipsis(set_cell_size(text, width - 1))
        blanks = width - cell_len(text)
    return text + " " * blanks if column.left else " " * blanks + text


class Labelled(NamedTuple):
    """A label with text beside it; wrapped lines of the text are indented by the width of the label."""

    label: str | Text
    words: str | Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        indent = Text.assemble(self.label).cell_len
        lines = Text.assemble(self.words).wrap(console, max(1, options.max_width - indent))
        for number, line in enumerate(lines):
            yield Text.assemble(" " * indent if number else self.label, line)
