"""The table of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from alexplore.core.formatting import age_text
from alexplore.runs.messages import STATE_GLYPHS, progress_text
from alexplore.runs.protocol import METRICS
from alexplore.runs.summary import BEST_METRIC, Summary
from alexplore.tui.columns import Claim
from alexplore.tui.widgets.table import Cell, Table

BAR = 10  # cells of a progress bar
MOST_NAME = 28  # cells for a run's name where there is room for everything else


@dataclass(frozen=True)
class RunLine:
    """A run in the table, with its marker, a blank if it is not marked, and whether it is the best of its data set."""

    summary: Summary
    marker: str = " "
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: what it shows of a run, and the rank of its claim on the width."""

    title: str
    rank: float
    text: Callable[[RunLine], str]
    left: bool = False
    most: int = 0  # cells above which a text is shortened unless there is room for all columns; 0 for never


def _network(line: RunLine) -> str:
    return line.summary.config.preset if line.summary.config else "–"


def _bar(line: RunLine) -> str:
    done = round(line.summary.fraction * BAR)
    return "█" * done + "░" * (BAR - done)


def _best(line: RunLine) -> str:
    return ("★ " if line.best else "") + METRICS[BEST_METRIC].number(line.summary.best)


def _metric(key: str) -> Callable[[RunLine], str]:
    return lambda line: METRICS[key].number(line.summary.latest.get(key))


def _state(line: RunLine) -> str:
    state = line.summary.status.state
    return f"{STATE_GLYPHS.get(state, ' ')} {state}"


COLUMNS = (
    Column("", 0, lambda line: line.marker, left=True),
    Column("run", 0, lambda line: line.summary.run.name, left=True, most=14),
    Column("network", 4, _network, left=True, most=14),
    Column("state", 0, _state, left=True),
    Column("progress", 6, _bar, left=True),
    Column("epoch", 1, lambda line: progress_text(line.summary)),
    Column("best", 2, _best),
    Column("last", 5, _metric("val/acc")),
    Column("loss", 3, _metric("train/loss")),
    Column("images/s", 7, _metric("images_per_second")),
    Column("age", 8, lambda line: age_text(line.summary.age) if line.summary.status.updated else "–"),
)
BY_TITLE = {column.title: column for column in COLUMNS}


class RunTable(Table):
    """Shows runs, one a line; columns are as wide as what they hold, and left out where there is no room for them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"run-table--{state}" for state in STATE_GLYPHS}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Sequence[RunLine] = ()
        self._needed: dict[str, int] = {}
        self.sorted_by, self.descending = "", False

    def show(self, lines: Sequence[RunLine]) -> None:
        """Show runs; the cursor stays on its run if it is still there."""
        if list(lines) == list(self.lines):
            return
        selected = self.selected
        self.lines = lines
        self._needed = {
            column.title: max([len(self.title(column.title)), *(len(column.text(line)) for line in lines)])
            for column in COLUMNS
        }
        names = [line.summary.run.name for line in lines]
        if selected and selected.summary.run.name in names:
            self.set_reactive(RunTable.cursor, names.index(selected.summary.run.name))
        self.show_lines()
        if not self._visible(self.cursor):
            self._reveal()

    @property
    def selected(self) -> RunLine | None:
        """The run under the cursor."""
        return self.lines[self.cursor] if self.cursor < len(self.lines) else None

    @property
    def line_count(self) -> int:
        """The number of runs."""
        return len(self.lines)

    def claims(self) -> Mapping[str, Sequence[Claim]]:
        """Return the widths that hold what there is to show; long names are shortened where the width is short."""
        claims = {}
        for column in COLUMNS:
            needed = self._needed.get(column.title, len(column.title))
            short = min(needed, column.most or needed)
            claims[column.title] = (Claim(column.rank, short), *([Claim(9, needed)] if needed > short else []))
        return claims

    def title(self, column: str) -> str:
        """Return the title of a column, with an arrow if the runs are sorted by it."""
        return column + ("" if column != self.sorted_by else "▾" if self.descending else "▴")

    def is_left(self, column: str) -> bool:
        """Return whether a column holds text."""
        return BY_TITLE[column].left

    def cell(self, index: int, column: str) -> Cell:
        """Return what a column shows of a run; state and progress have the colour of the state."""
        line = self.lines[index]
        state = line.summary.status.state
        coloured = column in ("state", "progress") and state in STATE_GLYPHS
        return Cell(BY_TITLE[column].text(line), f"run-table--{state}" if coloured else "")

    def copied_text(self) -> str:
        """Return what copying copies: the path of the run's folder."""
        return str(self.selected.summary.run.path) if self.selected else ""
