"""Runs: a list of every run, what can be done to each, and the marked ones beside each other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from alexplore.core.errors import AlexploreError
from alexplore.runs import service
from alexplore.runs.checkpoint_files import folder_size
from alexplore.runs.directory import RunDirectory, RunError, list_runs
from alexplore.runs.listing import ListedRun, Listing, QueueListing
from alexplore.runs.metrics import METRICS
from alexplore.runs.notes import write_note
from alexplore.runs.queue import Item, Queue
from alexplore.runs.summary import Summary
from alexplore.tui.listed_runs import ListedRuns
from alexplore.tui.marked_runs import EPOCHS, METRIC_ORDER, MINUTES, Overlay, OverlayReader
from alexplore.tui.messages import (
    DetailsRead,
    EvaluateRequested,
    FormRequested,
    ModeRequested,
    OpenRequested,
    PredictRequested,
    RunsListed,
    WatchRequested,
)
from alexplore.tui.polling import pause
from alexplore.tui.run_details import RunDetails, detail_lines, failed_at_start, headline, read_details, size_text
from alexplore.tui.screens.dialogs import Ask, Confirm
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState, Mode
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.curves import Curves
from alexplore.tui.widgets.details import Details
from alexplore.tui.widgets.filter_input import FilterInput
from alexplore.tui.widgets.run_differences import RunDifferences
from alexplore.tui.widgets.run_table import RunTable
from alexplore.tui.widgets.table import Table

POLL_SECONDS = 1.0
LOOK_SECONDS = 0.15  # that the cursor must stay on a run before its folder is read
NO_RUNS = "No runs yet: press 2 to train the network that is open in Explore."
OVERLAY_ACTIONS = ("metric", "unit", "logarithmic", "seeds")
RUN_ACTIONS = ("watch", "mark", "stop", "resume", "fork", "evaluate", "predict", "export", "rename", "note")
"""Actions on a run that are not possible while it waits in the queue."""


class RunsScreen(FrameScreen):
    """The list of runs; below it the curves of the marked ones, what differs between them, and the selected run."""

    CSS_PATH = "runs.tcss"
    MODE: ClassVar[Mode | None] = "runs"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "sort", "sort", tooltip="Sort by the next column; a click on a title sorts by it"),
        Binding("slash", "filter", "filter", tooltip="Show only some runs: words, state:failed, lr>=0.01, best>90%"),
        Binding("O", "turn_round", "reverse", show=False, tooltip="Sort the other way round"),
        Binding("p", "group", "by preset", show=False, tooltip="Group the runs by their presets, or not"),
        Binding("m", "metric", "metric", tooltip="Draw the next metric of the marked runs"),
        Binding("t", "unit", "time", tooltip="Draw over the minutes of training, or over epochs"),
        Binding("l", "logarithmic", "log", show=False, tooltip="Use a logarithmic axis for the metric, or a plain one"),
        Binding(
            "b", "seeds", "seeds", tooltip="Draw the mean of runs that differ only in their seed, and their spread"
        ),
        Binding("d", "details", "details", show=False, tooltip="Show or hide the details of the selected run"),
        Binding("escape", "back", "back", show=False, tooltip="Go back: to the table, to all runs, to Explore"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        self.listed = ListedRuns()
        self._overlay = Overlay()
        self._metric, self._unit, self._by_seed = METRIC_ORDER[0], EPOCHS, False
        self._details: RunDetails | None = None
        self._look_now = threading.Event()
        self._on_queued = False  # whether the cursor is on a run that waits in the queue

    def compose_body(self) -> ComposeResult:
        """Put the filter above the list, and the curves and details of the marked and selected runs below it."""
        with Vertical(id="runs", classes="frame"):
            with Horizontal(id="filter-line"):
                yield FilterInput(id="runs-filter")
                yield Static(id="filter-note", markup=False)
            yield Static(NO_RUNS, id="no-runs", markup=False)
            yield RunTable(id="runs-table")
        yield Details(id="headline")
        yield Curves(id="overlay")
        with Horizontal(id="lower"):
            yield RunDifferences(id="what-differs", classes="frame")
            yield Details(id="details", classes="frame")

    def on_mount(self) -> None:
        """Hide the widgets that are still empty."""
        self.query_one("#filter-line").display = False
        self.query_one("#no-runs").display = False
        self.query_one("#what-differs").border_title = "what differs"
        self.query_one(RunTable).focus()
        self._show_list()

    def on_screen_resume(self) -> None:
        """Read the runs for as long as this screen is visible."""
        self._poll()

    def on_screen_suspend(self) -> None:
        """Stop reading runs that are not visible."""
        self.workers.cancel_group(self, "poll")

    # Reading

    @work(thread=True, exclusive=True, group="poll")
    def _poll(self) -> None:
        worker, listing, reader, reported = get_current_worker(), Listing(), OverlayReader(), ""
        queue = QueueListing(Queue(self.state.runs_folder))
        while not worker.is_cancelled and self.is_running:
            self._look_now.clear()
            try:
                runs = list_runs(self.state.runs_folder)
                overlay = reader.read(self.state.marked.marked(runs), self._metric)
                self.post_message(RunsListed(listing.read(runs), queue.read(), overlay))
                reported = ""
            except RunError as error:  # the file system may be available again later
                if str(error) != reported:
                    reported = str(error)
                    self.notify(reported, severity="error")
            pause(worker, POLL_SECONDS, self._look_now)

    @on(RunsListed)
    def _listed(self, event: RunsListed) -> None:
        self.listed.runs, self.listed.queued = event.runs, event.queued
        self.state.marked.keep([run.name for run in event.runs])
        before = self.selected
        with self.app.batch_update():
            self._show_list()
            if not event.overlay.looks_like(self._overlay):
                self._overlay = event.overlay
                self._show_overlay()
            else:
                self._overlay = event.overlay
            self._show_differences()
        self._offer_keys()
        if self.selected is not None and (before is None or before.summary.status != self.selected.summary.status):
            self._look_at_selected()

    def _look_at_selected(self) -> None:
        if self.selected is not None:
            self._look(self.selected.summary)

    @work(thread=True, exclusive=True, group="look")
    def _look(self, summary: Summary) -> None:
        """Read details from the disk, once the cursor stays on a run."""
        worker = get_current_worker()
        time.sleep(LOOK_SECONDS)
        if not worker.is_cancelled:
            details = read_details(summary)
            if not worker.is_cancelled:
                self.post_message(DetailsRead(details))

    @on(DetailsRead)
    def _details_read(self, event: DetailsRead) -> None:
        self._details = event.details
        self.state.run_monitor.mark_seen(event.details.run.name)
        self._show_details()

    # Showing

    def _show_list(self) -> None:
        listed = self.listed
        lines = listed.lines(self.state.marked)
        nothing = self.query_one("#no-runs", Static)
        nothing.display = not lines
        _write(nothing, NO_RUNS if not (listed.runs or listed.queued) else "no run matches the filter")
        frame = self.query_one("#runs")
        title, subtitle = (
            listed.title,
            f"o {listed.order_text} · / filter · p {'list' if listed.grouped else 'by preset'}",
        )
        if str(frame.border_title) != title:  # each of them repaints the frame with all that is in it
            frame.border_title = Text(title)
        if str(frame.border_subtitle) != subtitle:
            frame.border_subtitle = Text(subtitle)
        _write(self.query_one("#filter-note", Static), listed.filter_note)
        self.query_one(RunTable).show(lines, listed.order.column, listed.descending)
        self._show_details()

    def _show_overlay(self) -> None:
        overlay = self._overlay
        self.set_class(bool(overlay.runs), "overlaid")
        self.set_class(len(overlay.snapshots) > 1, "compared")
        if overlay.runs:
            count = "" if len(overlay.runs) == 1 else f" of the {len(overlay.runs)} marked"
            title = f"{METRICS[overlay.metric].title}{count}{' · means' if self._by_seed else ''}"
            self.query_one(Curves).draw(overlay.plot(self._unit, by_seed=self._by_seed), title)
        self.refresh_bindings()

    def _show_differences(self) -> None:
        if self.has_class("compared"):
            names = [f"{self.state.marked.marker(one.run.name)} {one.run.name}" for one in self._overlay.snapshots]
            self.query_one(RunDifferences).show(names, self._overlay.differences)

    def _show_details(self) -> None:
        pane, run = self.query_one("#details", Details), self.listed_run
        keys = "K sooner · J later · del takes it out" if run and run.item else "y copies the path · d hides"
        pane.write_frame(run.name if run else "no run", keys if run else "")
        pane.show(detail_lines(run, self._details) if run else [])
        self.query_one("#headline", Details).show([headline(run)] if run else [])

    # The list

    @property
    def listed_run(self) -> ListedRun | None:
        """What is under the cursor: a run, or one that waits in the queue."""
        line = self.query_one(RunTable).selected
        return line.run if line else None

    @property
    def selected(self) -> ListedRun | None:
        """The run under the cursor; None if it has no directory yet."""
        run = self.listed_run
        return run if run is not None and run.item is None else None

    @property
    def queued(self) -> Item | None:
        """The entry of the queue under the cursor, None if the cursor is not on one."""
        run = self.listed_run
        return run.item if run else None

    @on(CursorList.Highlighted, "#runs-table")
    def _highlighted(self) -> None:
        self._show_details()
        self._look_at_selected()
        self._offer_keys()

    def _offer_keys(self) -> None:
        """Show the keys of waiting runs if the cursor is on one, else those of runs."""
        if self._on_queued != (self.queued is not None):
            self._on_queued = self.queued is not None
            self.refresh_bindings()

    @on(CursorList.Chosen, "#runs-table")
    def _chosen(self) -> None:
        config = self.selected.summary.config if self.selected else None
        if self.selected and config and failed_at_start(self.selected.summary):
            reason = self.selected.summary.status.reason or ""
            self.post_message(FormRequested(config, f"from {self.selected.name}", reason))
        elif self.selected:
            self.action_watch()
        elif self.queued:
            self.notify(f"{self.queued.name} was not started yet: there is nothing to watch")

    @on(Table.TitleClicked, "#runs-table")
    def _title_clicked(self, event: Table.TitleClicked) -> None:
        self.listed.sort_by_column(event.column)
        self._show_list()

    def action_watch(self) -> None:
        """Watch the run in Train."""
        if self.selected:
            self.post_message(WatchRequested(self.selected.summary.run))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.listed.next_order()
        self._show_list()

    def action_turn_round(self) -> None:
        """Sort the other way round."""
        self.listed.reverse()
        self._show_list()

    def action_group(self) -> None:
        """Group the runs by their presets, or not."""
        self.listed.grouped = not self.listed.grouped
        self._show_list()

    def action_filter(self) -> None:
        """Go to the filter."""
        self.query_one("#filter-line").display = True
        self.query_one(FilterInput).focus()

    @on(Input.Changed, "#runs-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.listed.filter_by(event.value)
        self.query_one("#filter-note").set_class(bool(self.listed.error), "wrong")
        self._show_list()

    @on(FilterInput.Left)
    def _filter_left(self, event: FilterInput.Left) -> None:
        self.query_one("#filter-line").display = not event.cleared and bool(event.source.value.strip())
        self.query_one(RunTable).focus()

    def action_back(self) -> None:
        """Go one level up: from another pane to the table, from a filtered list to the whole, else to Explore."""
        table, field = self.query_one(RunTable), self.query_one(FilterInput)
        if self.focused is not table:
            table.focus()
        elif field.value:
            field.action_leave(True)
        else:
            self.post_message(ModeRequested("explore"))

    def action_details(self) -> None:
        """Show or hide the details; if there is room for one pane only, show them instead of the curves."""
        self.toggle_class("turned")

    # The marked runs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable the keys of the curves only if there are some, and for a run only the actions that are possible."""
        if action == "shift":
            return self.is_mounted and self.queued is not None and self.queued.reason is None
        if action in RUN_ACTIONS:
            return not self.is_mounted or self.queued is None
        if action == "seeds":
            return self._by_seed or self._overlay.has_seeds
        return bool(self._overlay.runs) if action in OVERLAY_ACTIONS else True

    def action_mark(self) -> None:
        """Mark the run, or unmark it."""
        if self.selected:
            self.state.marked.toggle(self.selected.name)
            self._show_list()
            self._look_now.set()

    def action_metric(self) -> None:
        """Draw the next metric."""
        self._metric = self._overlay.next_metric()
        self._look_now.set()

    def action_unit(self) -> None:
        """Draw over minutes, or over epochs."""
        self._unit = MINUTES if self._unit == EPOCHS else EPOCHS
        self._show_overlay()

    def action_logarithmic(self) -> None:
        """Use the other kind of axis."""
        self.query_one(Curves).action_logarithmic()

    def action_seeds(self) -> None:
        """Draw the mean of runs that differ only in their seed, or each of them."""
        self._by_seed = not self._by_seed
        self._show_overlay()

    # The selected run

    @work(thread=True)
    def action_stop(self) -> None:
        """Stop the run after a checkpoint."""
        if self.selected is None:
            return
        run = self.selected.summary.run
        try:
            service.ask(run, "stop")
        except AlexploreError as error:
            self.notify(str(error), severity="warning")
        else:
            self.notify(f"asked {run.name} to stop")

    @work
    async def action_resume(self) -> None:
        """Continue the run; ask first if it has no checkpoint and would start from step 0."""
        from alexplore.tui.screens.run_dialogs import resume

        if self.selected is not None:
            await resume(self, self.selected.summary)
            self._look_now.set()

    def action_fork(self) -> None:
        """Open the run's network and recipe in Explore."""
        if self.selected is None or self.selected.summary.config is None:
            return
        self.post_message(OpenRequested(self.selected.summary.config.as_preset(f"from {self.selected.name}")))

    def action_evaluate(self) -> None:
        """Measure the run's accuracy on its validation images."""
        if self.selected:
            self.post_message(EvaluateRequested(self.selected.summary.run))

    def action_predict(self) -> None:
        """Classify images with the run's network."""
        if self.selected:
            self.post_message(PredictRequested(self.selected.summary.run))

    @work
    async def action_export(self) -> None:
        """Write the run for other programs."""
        from alexplore.tui.screens.run_dialogs import export

        if self.selected:
            await export(self, self.selected.summary.run)

    @work
    async def action_rename(self) -> None:
        """Give the run another name; marks and Train follow it."""
        if self.selected is None:
            return
        run = self.selected.summary.run
        name = await self.app.push_screen_wait(Ask("Name of the run", run.name))
        if name is None or name == run.name:
            return
        try:
            renamed = service.rename(run, name)
        except AlexploreError as error:
            self.notify(str(error), severity="error")
            return
        self.state.marked.rename(run.name, renamed.name)
        if self.state.watched is not None and self.state.watched.run == run:
            self.state.follow_rename(renamed)
        self.notify(f"renamed {run.name} to {renamed.name}")
        self._look_now.set()

    @work
    async def action_note(self) -> None:
        """Write a note on the run."""
        if self.selected is None:
            return
        run = self.selected
        note = await self.app.push_screen_wait(
            Ask(f"Note on {run.name}", run.note, "An empty note is removed.", blank=True)
        )
        if note is None:
            return
        try:
            write_note(run.summary.run, note)
        except AlexploreError as error:
            self.notify(str(error), severity="error")
        self._look_now.set()

    def action_remove(self) -> None:
        """Delete the run, or take it out of the queue, after asking."""
        if self.queued is not None:
            self._take_out(self.queued)
        elif self.selected is not None and self._removable(self.selected.summary.run):
            self._delete(self.selected.summary)

    @work
    async def _delete(self, summary: Summary) -> None:
        run = summary.run
        size = await asyncio.to_thread(folder_size, run)
        question = Confirm(
            f"Delete {run.name} and its checkpoints for good?", size_text(summary, size), yes="Delete", no="Keep"
        )
        if await self.app.push_screen_wait(question):
            try:
                # It refuses a run that was resumed while the question was open.
                await asyncio.to_thread(service.remove, run)
            except AlexploreError as error:
                self.notify(str(error), severity="error")
            else:
                if self.state.watched is not None and self.state.watched.run == run:
                    self.state.watched = None
                self.notify(f"deleted {run.name}")
            self._look_now.set()

    @work
    async def _take_out(self, item: Item) -> None:
        question = Confirm(f"Take {item.name} out of the queue?", "It is not started then.", yes="Take out", no="Keep")
        if await self.app.push_screen_wait(question):
            self._change_queue(lambda queue: f"{queue.remove(item.name, whole=True).name} waits no more")

    def action_shift(self, places: int) -> None:
        """Start the waiting run sooner or later."""
        run = self.listed_run
        if run is not None and run.item is not None:
            name, place = run.name, max(1, run.place + places)
            self._change_queue(lambda queue: f"{queue.move(name, place, whole=True).name}: moved in the queue")

    @work
    async def _change_queue(self, change: Callable[[Queue], str]) -> None:
        """Change the queue and show what was done, or why it was not. Another process may hold the queue's lock."""
        try:
            self.notify(await asyncio.to_thread(change, Queue(self.state.runs_folder)))
        except AlexploreError as error:
            self.notify(str(error), severity="error")
        self._look_now.set()

    def _removable(self, run: RunDirectory) -> bool:
        """Return whether no worker trains a run; show that one does."""
        try:
            service.check_removable(run)
        except RunError as error:
            self.notify(str(error), severity="warning")
            return False
        return True


def _write(line: Static, text: str) -> None:
    """Update a text only if it has changed, because every update causes a layout."""
    if str(line.content) != text:
        line.update(text)
