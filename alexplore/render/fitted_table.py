"""Rich tables and labelled lines that fit the width of the terminal without cutting names or numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from alexplore.core.inert import inert

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

GAP, EDGES = 2, 2  # blank characters between two columns, and at both sides of the table together


@dataclass(frozen=True)
class Column:
    """A column of a table.

    As the table gets narrower, the columns with the highest `rank` are left out first, all columns of a rank together;
    those with rank 0 always stay. `left` aligns text at the left. A column with a `least` may be shortened to so many
    characters; one without is shown whole or not at all.
    """

    title: str
    rank: int = 0
    left: bool = False
    least: int = 0


class FittingTable:
    """A table that fits the width in which it is printed.

    Columns with a `least` are shortened, columns with a rank are left out; a column with a rank that holds nothing is
    never shown. If the remaining columns are still too wide, their words wrap.
    """

    def __init__(self, *columns: Column, title: str = "") -> None:
        self._columns, self._title = columns, title
        self._cells: list[list[str]] = [[] for _ in columns]
        self._whole = [cell_len(column.title) for column in columns]
        self._styles: list[str] = []

    def add(self, *cells: str, style: str = "") -> None:
        """Add a row; missing cells at its end are empty."""
        for index, cell in enumerate(map(inert, (*cells, *[""] * (len(self._columns) - len(cells))))):
            self._cells[index].append(cell)
            self._whole[index] = max(self._whole[index], cell_len(cell))
        self._styles.append(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self._table(options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._table(options.max_width))

    def _table(self, available: int) -> Table:
        title = Text(inert(self._title), style="bold") if self._title else None
        table = Table(
            title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0)
        )
        shown = self._chosen(available)
        cap = next((cap for cap in range(max(self._whole), 0, -1) if self._width(shown, cap) <= available), 0)
        fits = bool(cap)  # then Rich need not measure every cell
        for index in shown:
            column = self._columns[index]
            words = column.left and not column.least
            table.add_column(
                Text(column.title),
                justify="left" if column.left else "right",
                width=self._column_width(index, cap) if column.least or fits else None,
                no_wrap=not words,
                overflow="fold" if words else "ellipsis",
            )
        for number, style in enumerate(self._styles):
            table.add_row(*(Text(self._cells[index][number]) for index in shown), style=style)
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


@dataclass(frozen=True)
class Labelled:
    """A label with text beside it; wrapped lines of the text are indented by the width of the label."""

    label: str | Text
    words: str | Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        indent = Text.assemble(self.label).cell_len
        lines = Text.assemble(self.words).wrap(console, max(1, options.max_width - indent))
        for number, line in enumerate(lines):
            yield Text.assemble(" " * indent if number else self.label, line)
