"""Runs: a table of every run, what can be done to each, and the curves of the marked ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from alexplore.core.errors import AlexploreError
from alexplore.presets.preset import Preset
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory, RunError, list_runs
from alexplore.runs.messages import summary_cells
from alexplore.runs.protocol import METRICS
from alexplore.runs.summary import RunList, Summary
from alexplore.tui.marked_runs import Overlay, OverlayReader, marker
from alexplore.tui.messages import OpenRequested, RunsListed, WatchRequested
from alexplore.tui.palette import SERIES
from alexplore.tui.plot import Line, Plot
from alexplore.tui.screens.dialogs import Confirm
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState, Mode
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.curves import Curves
from alexplore.tui.widgets.run_table import RunLine, RunTable

POLL_SECONDS = 1.0
ERROR_SECONDS = 20.0  # how long a long error is shown


class RunsScreen(FrameScreen):
    """A table of runs, and the curves of the marked ones below it."""

    CSS_PATH = "runs.tcss"
    MODE: ClassVar[Mode | None] = "runs"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "attach", "Attach", tooltip="Watch the run in Train"),
        Binding("x", "stop", "Stop", tooltip="Stop the run after a checkpoint; it can be resumed"),
        Binding("r", "resume", "Resume", tooltip="Continue a run that is paused, was stopped, failed or crashed"),
        Binding("space", "mark", "Mark", tooltip="Draw the run's validation accuracy with that of other marked runs"),
        Binding("f", "fork", "Fork", tooltip="Open the run's network and recipe in Explore, to change and train anew"),
        Binding("slash", "filter", "Filter", show=False, tooltip="Show only runs whose line holds some words"),
        Binding("delete", "remove", "Delete", show=False, tooltip="Delete the run with its checkpoints"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        self._summaries: Sequence[Summary] = ()
        self._overlay = Overlay()
        self._look_now = threading.Event()

    def compose_body(self) -> ComposeResult:
        """Put the filter above the table and the curves below it."""
        with Vertical(classes="frame") as frame:
            frame.border_title = "Runs"
            yield Input(placeholder="filter", id="runs-filter", compact=True)
            yield RunTable(id="runs-table")
            yield Static("No runs yet: press 2 to train.", id="no-runs")
            yield Curves(id="overlay")
            yield Static(id="overlay-legend")

    def on_mount(self) -> None:
        """Hide what there is nothing to show in."""
        self.query_one("#runs-filter").display = False
        self.query_one("#overlay").display = self.query_one("#overlay-legend").display = False
        self.query_one("#overlay").border_title = "validation accuracy"
        self.query_one(RunTable).focus()

    def on_screen_resume(self) -> None:
        """Read the runs for as long as this screen is visible."""
        self._poll()

    def on_screen_suspend(self) -> None:
        """Stop reading runs that are not visible."""
        self.workers.cancel_group(self, "poll")

    # Reading and drawing

    @work(thread=True, exclusive=True, group="poll")
    def _poll(self) -> None:
        worker, run_list, reader, reported = get_current_worker(), RunList(), OverlayReader(), ""
        while not worker.is_cancelled:
            self._look_now.clear()
            try:
                runs = list_runs(self.state.runs_folder)
                overlay = reader.read(self.state.marked.marked(runs))
                self.post_message(RunsListed(run_list.summarise(runs), overlay))
                reported = ""
            except RunError as error:  # of a file system that may come back
                if str(error) != reported:
                    reported = str(error)
                    self.notify(reported, severity="error", markup=False)
            deadline = time.monotonic() + POLL_SECONDS
            while time.monotonic() < deadline and not worker.is_cancelled and not self._look_now.is_set():
                self._look_now.wait(POLL_SECONDS / 10)

    @on(RunsListed)
    def _listed(self, event: RunsListed) -> None:
        self._summaries = event.summaries
        self.state.marked.keep([summary.run.name for summary in event.summaries])
        self._draw_table()
        if event.overlay != self._overlay:
            self._overlay = event.overlay
            self._draw_overlay()

    def _draw_table(self) -> None:
        wanted = self.query_one("#runs-filter", Input).value.casefold().split()
        lines = [
            RunLine(summary, self.state.marked.marker(summary.run.name))
            for summary in self._summaries
            if all(word in " ".join(summary_cells(summary)).casefold() for word in wanted)
        ]
        self.query_one("#no-runs").display = not self._summaries
        self.query_one(RunTable).show(lines)

    def _draw_overlay(self) -> None:
        """Draw the curves, with the legend below them: on top of them it would hide points."""
        plot, legend = self.query_one("#overlay", Curves), self.query_one("#overlay-legend", Static)
        plot.display = legend.display = bool(self._overlay.curves)
        lines = [
            Line(
                curve.name,
                curve.curve.epochs,
                curve.curve.values,
                SERIES[curve.number % len(SERIES)],
                marker(curve.number),
                note=curve.note,
            )
            for curve in self._overlay.curves
        ]
        plot.draw(Plot(lines, self._overlay.epochs, percent=True, number=METRICS["val/acc"].number))

    # The selected run

    @property
    def selected(self) -> Summary | None:
        """The run under the cursor."""
        line = self.query_one(RunTable).selected
        return line.summary if line else None

    @on(CursorList.Chosen)
    def _chosen(self) -> None:
        self.action_attach()

    def action_attach(self) -> None:
        """Watch the run in Train."""
        if self.selected:
            self.post_message(WatchRequested(self.selected.run))

    @work(thread=True)
    def action_stop(self) -> None:
        """Stop the run after a checkpoint."""
        if self.selected is None:
            return
        run = self.selected.run
        try:
            service.ask(run, "stop")
        except AlexploreError as error:
            self.notify(str(error), severity="warning", markup=False)
        else:
            self.notify(f"asked {run.name} to stop", markup=False)

    @work(thread=True)
    def action_resume(self) -> None:
        """Continue the run."""
        if self.selected is None:
            return
        try:
            service.resume(self.selected.run)
        except AlexploreError as error:
            self.notify(str(error), severity="error", markup=False, timeout=ERROR_SECONDS)

    def action_mark(self) -> None:
        """Mark the run for the overlay, or unmark it."""
        if self.selected:
            self.state.marked.toggle(self.selected.run.name)
            self._draw_table()
            self._look_now.set()

    def action_fork(self) -> None:
        """Open the run's network and recipe in Explore."""
        summary = self.selected
        if summary is None or summary.config is None:
            return
        config = summary.config
        preset = Preset(config.preset, config.network, config.recipe, title=f"from {summary.run.name}")
        self.post_message(OpenRequested(preset))

    def action_filter(self) -> None:
        """Show the filter."""
        field = self.query_one("#runs-filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#runs-filter")
    def _filtered(self) -> None:
        self._draw_table()

    @on(Input.Submitted, "#runs-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.display = bool(event.value)
        self.query_one(RunTable).focus()

    @work
    async def action_remove(self) -> None:
        """Delete the run after asking."""
        summary = self.selected
        if summary is None or not self._removable(summary.run):
            return
        if await self.app.push_screen_wait(Confirm(f"Delete {summary.run.name} with its checkpoints?")):
            try:
                service.remove(summary.run)  # which refuses a run that was resumed while the question was open
            except AlexploreError as error:
                self.notify(str(error), severity="error", markup=False)
            self._look_now.set()

    def _removable(self, run: RunDirectory) -> bool:
        """Return whether no worker trains a run; show that one does."""
        try:
            service.check_removable(run)
        except RunError as error:
            self.notify(str(error), severity="warning", markup=False)
            return False
        return True
