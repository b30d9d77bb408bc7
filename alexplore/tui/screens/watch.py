"""Train, once it started: the watched run with progress, curves, log and control."""

from __future__ import annotations

import textwrap
import time
from typing import ClassVar

from rich.progress_bar import ProgressBar
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static
from textual.worker import get_current_worker

from alexplore.core.errors import AlexploreError
from alexplore.runs import service
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.protocol import METRICS
from alexplore.runs.status import read_status
from alexplore.tui.messages import ModeRequested, RunPolled, RunUnreadable
from alexplore.tui.plot import Line, Plot
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState, Mode
from alexplore.tui.watched_run import Poller, WatchedRun
from alexplore.tui.widgets.curves import Curves
from alexplore.tui.widgets.run_log import RunLog

WIDE = 100  # columns from which the form has three columns of fields
ERROR_SECONDS = 20.0  # how long a long error is shown
RUN_ACTIONS = ("stop", "pause", "checkpoint", "resume", "log_scale", "raw", "new")


class WatchScreen(FrameScreen):
    """Shows the watched run."""

    CSS_PATH = "watch.tcss"
    MODE: ClassVar[Mode | None] = "train"

    COMPONENT_CLASSES: ClassVar[set[str]] = {"train--done", "train--left"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New", tooltip="Set up a training of the network in Explore"),
        Binding("x", "stop", "Stop", tooltip="Stop the run after a checkpoint; it can be resumed"),
        Binding("space", "pause", "Pause", tooltip="Pause the run, or let it continue"),
        Binding("r", "resume", "Resume", tooltip="Continue a run that was stopped, failed or crashed"),
        Binding("c", "checkpoint", "Save", tooltip="Save a checkpoint now"),
        Binding("l", "log_scale", "Log scale", show=False, tooltip="Loss on a logarithmic axis, or a plain one"),
        Binding("w", "raw", "Raw", show=False, tooltip="Show or hide the unsmoothed training curve"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        self._run: WatchedRun | None = None  # the run whose log is shown

    def compose_body(self) -> ComposeResult:
        """Put state and progress above the curves, and the log below them."""
        with Vertical(id="run", classes="frame"):
            yield Static(id="run-state", markup=False)
            yield Static(id="run-progress")
            with Horizontal(id="curves"):
                yield Curves("loss", id="loss")
                yield Curves("accuracy", id="accuracy")
            yield RunLog(id="log")

    def on_mount(self) -> None:
        """Name the frame of the log."""
        self.query_one("#log").border_title = "log"

    def on_screen_resume(self) -> None:
        """Show the run, also when a dialog on top closes."""
        if self.state.watched:
            self._show_run(self.state.watched)

    def on_screen_suspend(self) -> None:
        """Stop reading a run that is not visible."""
        self.workers.cancel_group(self, "poll")

    # The watched run

    def _show_run(self, watched: WatchedRun) -> None:
        """Show a run; one that is shown already keeps its log, its curves and its place."""
        if self._run is not watched:
            self._run = watched
            self.query_one("#run").border_title = Text(watched.run.name)
            self.query_one(RunLog).clear_lines()
            self._draw()
        if self.focused is None:
            self.query_one("#log").focus()
        self._poll(watched.run)

    @work(thread=True, exclusive=True, group="poll")
    def _poll(self, run: RunDirectory) -> None:
        worker = get_current_worker()
        try:
            poller = Poller(run, time.monotonic())
        except RunError as error:
            self.post_message(RunUnreadable(run, str(error)))
            return
        while not worker.is_cancelled:
            now = time.monotonic()
            self.post_message(RunPolled(*poller.poll(now)))
            while time.monotonic() < now + poller.pause(now) and not worker.is_cancelled:
                time.sleep(0.1)

    @on(RunPolled)
    def _polled(self, event: RunPolled) -> None:
        watched = self._run
        if watched is None or event.snapshot.run != watched.run:  # a late message about the run watched before
            return
        changed = watched.update(event.snapshot, event.drawing)
        with self.app.batch_update():
            self._draw_state()
            self._log_news()
            if changed:
                self._draw_curves()

    @on(RunUnreadable)
    def _unreadable(self, event: RunUnreadable) -> None:
        if self._run is not None and event.run == self._run.run:
            self._run.fail(event.reason)
            self._draw()

    def _draw(self) -> None:
        with self.app.batch_update():
            self._draw_state()
            self._draw_curves()

    def _draw_state(self) -> None:
        text = self._run.state_text if self._run else ""
        state = self.query_one("#run-state", Static)
        if text != state.content:
            state.update(text, layout=_line_count(text, state) != _line_count(str(state.content), state))
            self._draw_progress()

    def _draw_progress(self) -> None:
        """Draw the progress bar. Textual's own widget lays the screen out at every change, which slows the training."""
        progress = self.query_one("#run-progress", Static)
        snapshot = self._run.snapshot if self._run else None
        if snapshot is None:
            progress.update()
            return
        done, left = (self.get_component_rich_style(f"train--{name}", partial=True) for name in ("done", "left"))
        bar = ProgressBar(1.0, snapshot.fraction, style=left, complete_style=done, finished_style=done)
        progress.update(bar, layout=False)

    def _draw_curves(self) -> None:
        watched = self._run
        if watched is None or watched.snapshot is None:
            for curves in self.query(Curves):
                curves.draw(Plot())
            return
        drawing = watched.drawing
        for metric, widget in (("loss", "#loss"), ("acc", "#accuracy")):
            raw, smooth, validation = (
                curves.get(f"{part}/{metric}", Curve())
                for part, curves in (("train", drawing.curves), ("train", drawing.smooth), ("val", drawing.curves))
            )
            lines = [Line("", raw.epochs, raw.values, "series-1-faint")] if self.state.raw_curves else []
            lines.append(Line("train", smooth.epochs, smooth.values, "series-1"))
            is_share = metric == "acc"
            lines.append(
                Line("validation", validation.epochs, validation.values, "series-2", "●", joined=False, best=is_share)
            )
            number = METRICS[f"val/{metric}"].number
            self.query_one(widget, Curves).draw(Plot(lines, watched.last_epoch, percent=is_share, number=number))

    def _log_news(self) -> None:
        log = self.query_one(RunLog)
        for line in self._run.new_log_lines() if self._run else []:
            log.add(Text.assemble((f"{line.time} ", "dim"), line.text) if line.time else Text(line.text, style="red"))

    # Control

    def action_new(self) -> None:
        """Ask the app for the form of another run."""
        self.state.open_form(planned_from="train")
        self.post_message(ModeRequested("train"))

    def action_stop(self) -> None:
        """Stop the run after a checkpoint."""
        self._ask("stop")

    def action_pause(self) -> None:
        """Pause the run, or let it continue."""
        if self._run is not None:
            self._ask("resume" if read_status(self._run.run).state == "paused" else "pause")

    def action_checkpoint(self) -> None:
        """Save a checkpoint now."""
        self._ask("checkpoint")

    @work(thread=True)
    def _ask(self, action: str) -> None:
        if self._run is None:
            return
        try:
            service.ask(self._run.run, action)
        except AlexploreError as error:
            self.notify(str(error), severity="warning", markup=False)
        else:
            self.notify(f"asked to {action}")

    @work(thread=True)
    def action_resume(self) -> None:
        """Continue the run from its last checkpoint."""
        if self._run is None:
            return
        try:
            service.resume(self._run.run)
        except AlexploreError as error:
            self.notify(str(error), severity="error", markup=False, timeout=ERROR_SECONDS)

    def action_log_scale(self) -> None:
        """Use another axis for the loss."""
        self.state.log_loss = not self.state.log_loss
        self.query_one("#loss", Curves).show_logarithmic(self.state.log_loss)

    def action_raw(self) -> None:
        """Show or hide the unsmoothed curves."""
        self.state.raw_curves = not self.state.raw_curves
        self._draw_curves()


def _line_count(text: str, shown: Static) -> int:
    width = shown.content_size.width or 80
    return sum(len(textwrap.wrap(line, width)) for line in text.splitlines())
