"""What differs between some runs: a table with a column for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alexplore.core.formatting import cut_middle
from alexplore.runs.compare import ComparedRow
from alexplore.tui.columns import Claim
from alexplore.tui.widgets.table import Cell, Table

SHORT_NAME = 12  # cells of a name if there is little room
WHAT = "what"


class RunDifferences(Table):
    """Shows rows of values; a run whose values don't fit is left out, so that no value is cut."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[ComparedRow] = ()
        self._names: Sequence[str] = ()

    def show(self, names: Sequence[str], rows: Sequence[ComparedRow]) -> None:
        """Show the values of the runs called `names`."""
        if (list(names), [row.texts for row in rows]) == (list(self._names), [row.texts for row in self._rows]):
            return
        self._names, self._rows = names, rows
        self.show_lines()

    @property
    def line_count(self) -> int:
        """The number of rows."""
        return len(self._rows)

    def claims(self) -> Mapping[str, Sequence[Claim]]:
        """Return the widths of the names of the rows and of the values of each run."""
        claims: dict[str, Sequence[Claim]] = {WHAT: (Claim(0, max((len(row.name) for row in self._rows), default=4)),)}
        for number in range(len(self._names)):
            longest = max((len(row.texts[number]) for row in self._rows), default=1)
            short = max(longest, min(SHORT_NAME, len(self._names[number])))
            claims[str(number)] = (Claim(number + 1, short), Claim(1000, max(short, len(self._names[number]))))
        return claims

    def title(self, column: str) -> str:
        """Return the name of a run; a long one is shortened in the middle."""
        if column == WHAT:
            left_out = len(self._names) - (len(self.widths) - 1)
            return f"+{left_out} more" if left_out else ""
        return cut_middle(self._names[int(column)], self.widths[column])

    def is_left(self, column: str) -> bool:
        """Return whether a column is aligned at the left: all are."""
        return True

    def cell(self, index: int, column: str) -> Cell:
        """Return a value, or the name of the row."""
        row = self._rows[index]
        return Cell(row.name if column == WHAT else row.texts[int(column)])
