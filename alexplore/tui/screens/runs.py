"""Runs: every run there is, with what can be done to it, and marked ones drawn over each other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Input, Static
from textual.worker import get_current_worker

from alexplore.presets.preset import Preset
from alexplore.runs.control import request
from alexplore.runs.directory import RunDirectory, RunError, list_runs, remove_run
from alexplore.runs.launch import launch
from alexplore.runs.messages import summary_cells
from alexplore.runs.status import read_status
from alexplore.runs.watch import Summary, Watch, summarise
from alexplore.tui.screens.dialogs import Confirm
from alexplore.tui.widgets.curves import Curves, Line
from alexplore.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from alexplore.tui.app import ExploreApp

POLL_SECONDS = 1.0
COLUMNS = ("", "run", "state", "epoch", "loss", "validation", "images/s", "heard")
MARKERS = "●▲■◆○△□◇"


@dataclass
class Listed(Message):
    """The runs, the newest first."""

    summaries: Sequence[Summary]

    def can_replace(self, message: Message) -> bool:
        """Only the newest counts."""
        return isinstance(message, Listed)


@dataclass
class Overlaid(Message):
    """The marked runs' validation accuracy."""

    lines: Sequence[Line]
    epochs: float


class RunsScreen(Screen[None]):
    """A table of runs; under it, curves of those that are marked."""

    CSS_PATH = "runs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "attach", "Attach", tooltip="Watch the run in Train"),
        Binding("x", "stop", "Stop", tooltip="Stop the run after a checkpoint; it can be resumed"),
        Binding("r", "resume", "Resume", tooltip="Go on with a run that is paused, was stopped, failed or crashed"),
        Binding("space", "mark", "Mark", tooltip="Draw the run's validation accuracy with that of other marked runs"),
        Binding("f", "fork", "Fork", tooltip="Open the run's network and recipe in Explore, to change and train anew"),
        Binding("slash", "filter", "Filter", show=False, tooltip="Show only runs whose line holds some words"),
        Binding("delete", "remove", "Delete", show=False, tooltip="Delete the run with its checkpoints"),
    ]

    app: ExploreApp

    def __init__(self) -> None:
        super().__init__()
        self._summaries: Sequence[Summary] = ()
        self._marked: list[str] = []

    def compose(self) -> ComposeResult:
        """The filter, the table, and the overlaid curves."""
        with Vertical(classes="frame") as frame:
            frame.border_title = "Runs"
            yield Input(placeholder="filter", id="runs-filter", compact=True)
            yield DataTable(id="runs-table", cursor_type="row", zebra_stripes=True)
            yield Static("No runs yet: press 2 to train.", id="no-runs")
            yield Curves(id="overlay")
        yield KeyBar()

    def on_mount(self) -> None:
        """Make the columns."""
        table = self.query_one(DataTable)
        for column in COLUMNS:
            table.add_column(column, key=column)
        self.query_one("#runs-filter").display = False
        self.query_one("#overlay").display = False
        self.query_one("#overlay").border_title = "validation accuracy"
        table.focus()

    def on_screen_resume(self) -> None:
        """Look at the runs for as long as this screen is shown."""
        self._look()

    def on_screen_suspend(self) -> None:
        """Nobody looks: stop reading."""
        self.workers.cancel_group(self, "look")

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        worker, told = get_current_worker(), ""
        while not worker.is_cancelled:
            try:
                self.post_message(Listed([summarise(run) for run in list_runs(self.app.runs_folder)]))
                told = ""
            except RunError as error:  # of a file system that may come back
                if str(error) != told:
                    told = str(error)
                    self.notify(told, severity="error", markup=False)
            for _ in range(10):
                if not worker.is_cancelled:
                    time.sleep(POLL_SECONDS / 10)

    @on(Listed)
    def _listed(self, event: Listed) -> None:
        self._summaries = event.summaries
        self._draw()

    def _draw(self) -> None:
        table = self.query_one(DataTable)
        wanted = self.query_one("#runs-filter", Input).value.casefold().split()
        lines = {summary.run.name: self._cells(summary) for summary in self._summaries}
        rows = {
            name: cells
            for name, cells in lines.items()
            if all(word in " ".join(cell.plain for cell in cells).casefold() for word in wanted)
        }
        self.query_one("#no-runs").display = not self._summaries
        if [key.value for key in table.rows] == list(rows):
            for name, cells in rows.items():
                for column, cell in zip(COLUMNS, cells, strict=True):
                    if table.get_cell(name, column) != cell:
                        table.update_cell(name, column, cell)
            return
        selected = self._selected_name()
        with self.app.batch_update():
            table.clear()
            for name, cells in rows.items():
                table.add_row(*cells, key=name)
            if selected in rows:
                table.move_cursor(row=list(rows).index(selected), animate=False)

    def _cells(self, summary: Summary) -> tuple[Text, ...]:
        """A line of the table, as texts: a plain string would be read as markup, and a run may be called [red]x."""
        name = summary.run.name
        mark = MARKERS[self._marked.index(name) % len(MARKERS)] if name in self._marked else " "
        return tuple(Text(cell) for cell in (mark, *summary_cells(summary)))

    def _selected_name(self) -> str:
        table = self.query_one(DataTable)
        if not table.row_count:
            return ""
        return str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value)

    @property
    def selected(self) -> Summary | None:
        """The run under the cursor."""
        name = self._selected_name()
        return next((summary for summary in self._summaries if summary.run.name == name), None)

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_attach()

    def action_attach(self) -> None:
        """Watch the run in Train."""
        if self.selected:
            self.app.attach(self.selected.run)

    def action_stop(self) -> None:
        """Stop after a checkpoint."""
        if self.selected:
            self._ask(self.selected.run, "stop")

    def action_resume(self) -> None:
        """Go on."""
        summary = self.selected
        if summary is None:
            return
        if summary.status.state == "paused":
            self._ask(summary.run, "resume")
        elif summary.status.resumable:
            self._launch(summary.run)
        else:
            self.notify(f"{summary.run.name} is {summary.status.state}: there is nothing to resume", markup=False)

    @work(thread=True)
    def _ask(self, run: RunDirectory, action: str) -> None:
        try:
            request(run, action)
        except RunError as error:
            self.notify(str(error), severity="warning", markup=False)
        else:
            self.notify(f"asked {run.name} to {action}", markup=False)

    @work(thread=True)
    def _launch(self, run: RunDirectory) -> None:
        try:
            launch(run)
        except RunError as error:
            self.notify(str(error), severity="error", markup=False, timeout=20)

    def action_mark(self) -> None:
        """Mark or unmark the run for the overlay."""
        name = self._selected_name()
        if not name:
            return
        if name in self._marked:
            self._marked.remove(name)
        else:
            self._marked.append(name)
        self._draw()
        self.query_one("#overlay").display = bool(self._marked)
        self._overlay([summary.run for summary in self._summaries if summary.run.name in self._marked])

    @work(thread=True, exclusive=True, group="overlay")
    def _overlay(self, runs: Sequence[RunDirectory]) -> None:
        colours = self.app.get_css_variables()
        palette = [colours[name] for name in ("primary", "accent", "success", "error", "warning", "secondary")]
        lines, epochs = [], 1.0
        for run in runs:
            try:
                snapshot = Watch(run).poll()
            except RunError:
                continue
            curve = snapshot.curves.get("val/acc")
            if curve is None:
                continue
            place = self._marked.index(run.name) if run.name in self._marked else 0
            lines.append(Line(run.name, curve, palette[place % len(palette)], MARKERS[place % len(MARKERS)]))
            epochs = max(epochs, snapshot.status.epoch)
        self.post_message(Overlaid(lines, epochs))

    @on(Overlaid)
    def _overlaid(self, event: Overlaid) -> None:
        self.query_one("#overlay", Curves).draw(event.lines, event.epochs, rising=True)

    @work
    async def action_fork(self) -> None:
        """Open the run's network and recipe in Explore."""
        summary = self.selected
        if summary is None or summary.config is None:
            return
        config = summary.config
        preset = Preset(config.preset, config.network, config.recipe, title=f"from {summary.run.name}")
        if await self.app.explore.open_preset(preset):
            self.app.action_mode("explore")

    def action_filter(self) -> None:
        """Show the filter."""
        field = self.query_one("#runs-filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#runs-filter")
    def _filtered(self) -> None:
        self._draw()

    @on(Input.Submitted, "#runs-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.display = bool(event.value)
        self.query_one(DataTable).focus()

    @work
    async def action_remove(self) -> None:
        """Delete the run, after asking."""
        summary = self.selected
        if summary is None or not self._removable(summary.run):
            return
        agreed = await self.app.push_screen_wait(Confirm(f"Delete {summary.run.name} with its checkpoints?"))
        if agreed and self._removable(summary.run):  # it may have been resumed while the question was open
            try:
                remove_run(summary.run)
            except RunError as error:
                self.notify(str(error), severity="error", markup=False)
            self._look()

    def _removable(self, run: RunDirectory) -> bool:
        """Whether no worker is at a run; where one is, that is said."""
        live = read_status(run).live
        if live:
            self.notify(f"{run.name} is being trained; stop it first", severity="warning", markup=False)
        return not live
