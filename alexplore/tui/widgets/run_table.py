"""The table of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.strip import Strip

from alexplore.core.formatting import age_text, cut_middle
from alexplore.core.inert import inert_line
from alexplore.runs.messages import STATE_GLYPHS, progress_text
from alexplore.runs.metrics import BEST_METRIC, METRICS
from alexplore.tui.columns import Claim, fit
from alexplore.tui.listed_runs import GroupLine, RunLine
from alexplore.tui.palette import SERIES
from alexplore.tui.run_details import recipe_text
from alexplore.tui.widgets.table import Cell, Table

BAR = 10  # cells of a progress bar


@dataclass(frozen=True)
class Column:
    """A column: what it shows of a run, and the rank of its claim on the width."""

    title: str
    rank: float
    text: Callable[[RunLine], str]
    left: bool = False
    most: int = 0  # cells above which a text is shortened unless there is room for all columns; 0 for never
    growth: float = 9  # the rank of the claim on the width of the whole text


def _bar(line: RunLine) -> str:
    done = round(line.run.summary.fraction * BAR)
    return "█" * done + "░" * (BAR - done)


def _best(line: RunLine) -> str:
    return ("★ " if line.best else "") + METRICS[BEST_METRIC].number(line.run.summary.best)


def _metric(key: str) -> Callable[[RunLine], str]:
    return lambda line: METRICS[key].number(line.run.summary.latest.get(key))


def _state(line: RunLine) -> str:
    state = line.run.summary.status.state
    return f"{STATE_GLYPHS.get(state, ' ')} {state}"


def _age(line: RunLine) -> str:
    return age_text(line.run.summary.age) if line.run.summary.status.updated else "–"


def _recipe(line: RunLine) -> str:
    config = line.run.summary.config
    return recipe_text(config.recipe) if config else ""


COLUMNS = (
    Column("", 0, lambda line: line.marker, left=True),
    Column("run", 0, lambda line: line.run.name, left=True, most=14),
    Column("network", 4, lambda line: line.run.network, left=True, most=14, growth=8.5),
    Column("data", 10, lambda line: line.run.dataset, left=True),
    Column("state", 0, _state, left=True),
    Column("progress", 6, _bar, left=True),
    Column("epoch", 1, lambda line: progress_text(line.run.summary)),
    Column("best", 2, _best),
    Column("last", 5, _metric("val/acc")),
    Column("loss", 3, _metric("train/loss")),
    Column("images/s", 7, _metric("images_per_second")),
    Column("age", 8, _age),
    Column("recipe", 11, _recipe, left=True),
    Column("note", 12, lambda line: line.run.note, left=True, most=20, growth=13),
)
BY_TITLE = {column.title: column for column in COLUMNS}


def _identity(line: RunLine | GroupLine) -> tuple[str, bool] | None:
    """Return what tells a run from others, also from an item of the queue with its name; None for a group."""
    return (line.run.name, line.run.item is None) if isinstance(line, RunLine) else None


class RunTable(Table):
    """Shows runs, one a line, perhaps in groups; columns are as wide as their texts, and left out if there is no room.

    The screen acts on the run under the cursor.
    """

    KEYS_OF: ClassVar[str] = "runs"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "open",
            tooltip="Watch the run in Train; correct one that failed before its first step",
        ),
        Binding("w", "screen.watch", "watch", show=False, tooltip="Watch the run, also one that failed at once"),
        Binding("space", "screen.mark", "mark", tooltip="Mark the run, to compare it with other marked ones"),
        Binding("x", "screen.stop", "stop", tooltip="Stop the run after a checkpoint; it can be resumed"),
        Binding(
            "r", "screen.resume", "resume", tooltip="Continue a run that is paused, was stopped, failed or crashed"
        ),
        Binding("f", "screen.fork", "fork", tooltip="Open the run's network and recipe in Explore, to train anew"),
        Binding("e", "screen.evaluate", "evaluate", tooltip="Measure the accuracy on the validation images"),
        Binding("i", "screen.predict", "predict…", tooltip="Classify images of your own"),
        Binding("s", "screen.export", "export…", tooltip="Write the metrics as CSV or JSON, an event file, or a page"),
        Binding("R", "screen.rename", "rename", tooltip="Give the run another name"),
        Binding("N", "screen.note", "note", tooltip="Write a note on the run"),
        Binding(
            "delete",
            "screen.remove",
            "delete",
            key_display="del",
            tooltip="Delete the run and its checkpoints, or take it out of the queue",
        ),
        Binding("K", "screen.shift(-1)", "sooner", tooltip="Start the waiting run before the one above it"),
        Binding("J", "screen.shift(1)", "later", tooltip="Start the waiting run after the one below it"),
    ]

    MOST_GAP = 3
    FILTERED = False  # the screen has a filter for runs
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"run-table--{kind}" for kind in ("group", *STATE_GLYPHS, *SERIES)}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Sequence[RunLine | GroupLine] = ()
        self._texts: list[Mapping[str, str]] = []  # of each line by column
        self._needed: dict[str, int] = {}
        self.sorted_by, self.descending = "", False

    def show(self, lines: Sequence[RunLine | GroupLine], sorted_by: str = "", descending: bool = False) -> None:
        """Show runs; the cursor stays on its run if it is still there. Only lines that look different are written."""
        selected, rows, widths = self.selected, self._rows(), self.widths
        count, order = len(self.lines), (self.sorted_by, self.descending)
        self.lines, self.sorted_by, self.descending = lines, sorted_by, descending
        self._texts = [_texts(line) for line in lines]
        self._needed = {}
        for column in COLUMNS:
            needed = max((len(texts.get(column.title, "")) for texts in self._texts), default=1)
            if needed:  # a column without any text is left out
                self._needed[column.title] = max(needed, len(self.title(column.title)))
        shown = [_identity(line) for line in lines]
        before = self.cursor
        if selected and _identity(selected) in shown:
            self.set_reactive(RunTable.cursor, shown.index(_identity(selected)))
        self._lay_out()
        if len(lines) != count or before != self.cursor or order != (sorted_by, descending) or widths != self.widths:
            self.show_lines()
        else:
            changed = [index for index, (one, other) in enumerate(zip(rows, self._rows(), strict=True)) if one != other]
            for index in changed:
                self.refresh_at(index)
        if before != self.cursor and not self._visible(self.cursor):
            self._reveal()

    def _rows(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the state, which determines the colour, and the texts of each line."""
        return list(zip(map(_state_of, self.lines), self._texts, strict=True))

    @property
    def selected(self) -> RunLine | None:
        """The run under the cursor."""
        line = self.lines[self.cursor] if self.cursor < len(self.lines) else None
        return line if isinstance(line, RunLine) else None

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self.lines)

    def is_heading(self, index: int) -> bool:
        """Return whether a line is the heading of a group."""
        return isinstance(self.lines[index], GroupLine)

    def claims(self) -> Mapping[str, Sequence[Claim]]:
        """Return the widths that the texts need; long names are shortened if there is little room."""
        claims = {}
        for column in COLUMNS:
            if column.title not in self._needed:
                continue
            needed = self._needed[column.title]
            short = min(needed, column.most or needed)
            claims[column.title] = (
                Claim(column.rank, short),
                *([Claim(column.growth, needed)] if needed > short else []),
            )
        return claims

    def title(self, column: str) -> str:
        """Return the title of a column, with an arrow if the runs are sorted by it."""
        return column + ("" if column != self.sorted_by else "▾" if self.descending else "▴")

    def is_left(self, column: str) -> bool:
        """Return whether a column holds text."""
        return BY_TITLE[column].left

    def cell(self, index: int, column: str) -> Cell:
        """Return the cell of a run in a column; state and progress have the colour of the state."""
        line = self.lines[index]
        state = _state_of(line)
        text = self._texts[index].get(column, "")
        if column == "run":  # names differ at their ends
            text = cut_middle(text, self.widths[column])
        coloured = column in ("state", "progress") and state in STATE_GLYPHS
        if column == "" and isinstance(line, RunLine) and line.series:
            return Cell(text, f"run-table--{line.series}")
        return Cell(text, f"run-table--{state}" if coloured else "")

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return the cells of a run, or the heading of a group across all columns."""
        line = self.lines[index]
        if isinstance(line, GroupLine):
            return Strip([Segment(fit(line.text, width, left=True), self.style("run-table--group"))])
        return super().line_strip(index, selected, width)

    def copied_text(self) -> str:
        """Return the text to copy: the path of the run's folder; of a run without one, its name."""
        if self.selected is None:
            return ""
        run = self.selected.run
        return run.name if run.item else str(run.summary.run.path)


def _texts(line: RunLine | GroupLine) -> Mapping[str, str]:
    if isinstance(line, GroupLine):
        return {"heading": line.text}
    return {column.title: inert_line(column.text(line)) for column in COLUMNS}


def _state_of(line: RunLine | GroupLine) -> str:
    return line.run.summary.status.state if isinstance(line, RunLine) else ""
