"""Train, once it started: the watched run with progress, curves, log and control."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static
from textual.worker import get_current_worker

from alexplore.core.errors import AlexploreError
from alexplore.core.settings import parse_text, toml_text
from alexplore.render.wrapping import wrap_cells
from alexplore.runs import service
from alexplore.runs.control import ACTIONS
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.status import Status, read_status
from alexplore.runs.watch import Snapshot
from alexplore.tui.log_entry import LogEntry
from alexplore.tui.marked_runs import EPOCHS, MINUTES
from alexplore.tui.messages import (
    EvaluateRequested,
    InsideRequested,
    ModeRequested,
    OpenRequested,
    PredictRequested,
    RunPolled,
    RunUnreadable,
)
from alexplore.tui.plot import Plot
from alexplore.tui.polling import pause
from alexplore.tui.run_facts import (
    checkpoint_facts,
    ending,
    fact_lines,
    finding_text,
    heading,
    machine_lines,
    other_ways_on,
    progress,
    recipe_facts,
    tiles,
    time_lines,
    within_height,
    within_lines,
)
from alexplore.tui.run_plots import accuracy_plot, loss_plot, rate_plot
from alexplore.tui.screens.dialogs import Ask
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState, Mode
from alexplore.tui.watched_run import POLL_SECONDS, Poller, WatchedRun
from alexplore.tui.widgets.curves import Curves
from alexplore.tui.widgets.log_view import LogView
from alexplore.tui.widgets.text_lines import folded
from alexplore.tui.widgets.tiles import Tiles

TEXT_LINES = {"-tiny": 1, "-low": 2, "-high": 4, "-tall": 4}
"""The most lines for a run's result, and for its suspicious layers, for each class of the terminal's height."""

STEERED = {
    "lr": ("Learning rate", "From the next step on, times what the schedule makes of it."),
    "epochs": ("Epochs", "How many to train in all."),
}
"""The titles and notes of the dialogs for keys of the recipe that are changed here."""

FINISHED, PAUSED = "finished", "paused"
BAR_CELLS = 10  # of the progress bar, at least
LIVE_ACTIONS = ("stop", "checkpoint", "stop_after_epoch", "evaluate_now")


class WatchScreen(FrameScreen):
    """Shows the watched run."""

    CSS_PATH = "watch.tcss"
    MODE: ClassVar[Mode | None] = "train"
    AUTO_FOCUS = "#log"

    COMPONENT_CLASSES: ClassVar[set[str]] = {"train--done", "train--left"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "pause", tooltip="Pause the run"),
        Binding("space", "unpause", "continue", tooltip="Let the paused run continue"),
        Binding("x", "stop", "stop", tooltip="Stop the run after a checkpoint; it can be resumed"),
        Binding("L", "learning_rate", "learning rate…", show=False, tooltip="Train on with another learning rate"),
        Binding("E", "evaluate_now", "evaluate now", show=False, tooltip="Let the worker evaluate between two steps"),
        Binding(
            "X", "stop_after_epoch", "stop after epoch", show=False, tooltip="Stop the run at the end of this epoch"
        ),
        Binding("c", "checkpoint", "checkpoint", tooltip="Save a checkpoint now"),
        Binding("r", "resume", "resume", tooltip="Continue a run that was stopped, failed or crashed"),
        Binding("e", "evaluate", "evaluate", tooltip="Measure the accuracy on the validation images"),
        Binding("v", "inside", "inside", tooltip="Layers, kernels, maps, confusion and mistakes, epoch by epoch"),
        Binding("i", "predict", "predict…", tooltip="Classify images of your own"),
        Binding("T", "epochs", "epochs…", tooltip="Train more epochs, or fewer; a run that has ended trains on"),
        Binding("n", "new", "new", tooltip="Set up a training of the network in Explore"),
        Binding("s", "export", "export…", tooltip="Write the metrics as CSV or JSON, an event file, or a page"),
        Binding("f", "fork", "fork", tooltip="Open the run's network and recipe in Explore, to change and train anew"),
        Binding("C", "console", "console", show=False, tooltip="Show the worker's output below the log"),
        Binding("escape", "runs", "runs", tooltip="Go to the list of runs"),
        Binding("t", "unit", "time", show=False, tooltip="Draw over the minutes of training, or over epochs"),
        Binding("m", "rate", "metric", show=False, tooltip="Draw the learning rate, or the accuracy"),
        Binding("l", "log_scale", "log", show=False, tooltip="Loss on a logarithmic axis, or a plain one"),
        Binding("w", "raw", "raw", show=False, tooltip="Show or hide the unsmoothed training curve"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        self._run: WatchedRun | None = None  # the run whose log is shown
        self._scrubbed: int | None = None  # the epoch where the cursors of the curves are
        self._shows_console = False
        self._shows_rate = False  # in the place of the accuracy
        self._unit = EPOCHS

    def compose_body(self) -> ComposeResult:
        """Put state, progress and numbers above the curves and the recipe, and the log below them."""
        yield Static(id="run-state", markup=False)
        yield Static(id="run-progress")
        yield Tiles(id="tiles")
        yield Static(id="run-ending", markup=False)
        yield Static(id="run-finding", markup=False)
        with Horizontal(id="middle"):
            yield Curves("loss", id="loss")
            yield Curves("accuracy", id="accuracy")
            with Vertical(id="run-recipe", classes="frame") as recipe:
                recipe.border_title = "recipe"
                yield Static(id="facts", markup=False)
        yield LogView(id="log", classes="frame")

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
        """Show a run; one that is already shown keeps its log, its curves and their positions."""
        if self._run is not watched:
            if self._run is not None:
                self.show_outcome("")  # what was said is about the run before
            self._run = watched
            self.query_one(LogView).clear()
            self._shows_console = False
            self._draw()
        if self.focused is None:
            self.query_one("#log").focus()
        if self._scrubbed != watched.scrubbed:  # changed in Inside, which was on top
            self._scrubbed = watched.scrubbed
            self._draw_curves()
            if self._unit == EPOCHS:
                for curves in self.query(Curves):
                    curves.read_at(watched.scrubbed)
        self._poll(watched.run)

    @work(thread=True, exclusive=True, group="poll")
    def _poll(self, run: RunDirectory) -> None:
        worker = get_current_worker()
        poller, reported = None, ""
        while not worker.is_cancelled and self.is_running:
            now = time.monotonic()
            try:
                poller = poller or Poller(run, now)
            except RunError as error:  # it may be readable again later, as on a file system that is away for a moment
                if str(error) != reported:
                    reported = str(error)
                    self.post_message(RunUnreadable(run, reported))
                pause(worker, POLL_SECONDS)
                continue
            self.post_message(RunPolled(*poller.poll(now)))
            pause(worker, now + poller.pause(now) - time.monotonic())

    @on(RunPolled)
    def _polled(self, event: RunPolled) -> None:
        watched = self._run
        if watched is None or event.snapshot.run != watched.run:  # a late message about the run watched before
            return
        before = _keys(watched.snapshot.status) if watched.snapshot else None
        self.state.run_monitor.mark_seen(watched.run.name)  # this screen shows whatever happens to it
        changed = watched.update(event.snapshot, event.drawing)
        with self.app.batch_update():
            self._draw_state()
            self._log_news()
            if changed:
                self._draw_curves()
        if before != _keys(event.snapshot.status):
            self.refresh_bindings()

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
        watched = self._run
        snapshot = watched.snapshot if watched else None
        if watched is None or snapshot is None:
            reading = f"reading {watched.run.name} …" if watched else ""
            self._show_text("#run-state", f"✗ {watched.unreadable}" if watched and watched.unreadable else reading)
            for name in ("#run-ending", "#run-finding", "#facts", "#run-progress"):
                self._show_text(name, "")
            self.query_one(Tiles).show(())
            return
        width = max(20, self.query_one("#run-state").content_size.width or self.app.size.width - 2)
        self._show_text("#run-state", folded(heading(snapshot), width))
        self.query_one("#run-state").set_classes(f"run-table--{snapshot.status.state}")
        most = next((lines for name, lines in TEXT_LINES.items() if self.has_class(name)), 1)
        self._show_text("#run-ending", within_lines(ending(snapshot), width, most, other_ways_on(snapshot)))
        self.query_one("#run-ending").display = not snapshot.status.live
        self.query_one("#run-ending").set_classes(f"run-table--{snapshot.status.state}")
        findings = watched.drawing.findings
        self._show_text("#run-finding", within_lines(finding_text(findings, snapshot.status.reason), width, most))
        self.query_one("#run-finding").display = bool(findings)
        self.query_one(Tiles).show(tiles(snapshot))
        self._draw_progress(snapshot)
        facts = recipe_facts(snapshot, watched.preset_recipe)
        saved = checkpoint_facts(snapshot)
        width, height = self.query_one("#run-recipe").content_size
        width = max(20, width)
        lines = fact_lines(facts, width) + (["", "checkpoints", *fact_lines(saved, width)] if saved else [])
        for found in (time_lines(snapshot, width), machine_lines(snapshot, width)):
            lines += ["", *found] if found else []
        self._show_text("#facts", "\n".join(within_height(lines, height)))

    def _show_text(self, name: str, text: str) -> None:
        """Show a text if it has changed, with a layout only if its number of lines has, because layouts are slow."""
        widget = self.query_one(name, Static)
        if text != widget.content:
            lines = _line_count(text, widget) != _line_count(str(widget.content), widget)
            widget.update(text, layout=lines)

    def _draw_progress(self, snapshot: Snapshot) -> None:
        """Draw the progress bar. Textual's own widget lays the screen out at every change, which slows the training."""
        widget = self.query_one("#run-progress", Static)
        width = widget.content_size.width or self.app.size.width - 2
        words = folded(progress(snapshot), width - BAR_CELLS - 2)
        room = max(BAR_CELLS, width - len(words) - 2)
        done, left = (self.get_component_rich_style(f"train--{name}", partial=True) for name in ("done", "left"))
        filled = round(room * snapshot.fraction)
        widget.update(Text.assemble(("█" * filled, done), ("░" * (room - filled), left), f"  {words}"), layout=False)

    def _draw_curves(self) -> None:
        watched = self._run
        if watched is None or watched.snapshot is None:
            for curves in self.query(Curves):
                curves.draw(Plot())
            return
        unit, raw = self._unit, self.state.raw_curves
        self.query_one("#loss", Curves).draw(loss_plot(watched, unit, raw=raw))
        if self._shows_rate:
            self.query_one("#accuracy", Curves).draw(rate_plot(watched, unit), "learning rate")
        else:
            self.query_one("#accuracy", Curves).draw(accuracy_plot(watched, unit, raw=raw), "accuracy")

    def _log_news(self) -> None:
        if self._run is not None:
            self.query_one(LogView).add(self._run.new_log_entries())

    # Control

    def action_runs(self) -> None:
        """Go to the list of runs."""
        self.post_message(ModeRequested("runs"))

    def action_fork(self) -> None:
        """Open the run's network and recipe in Explore."""
        if self._run is not None and self._run.snapshot is not None:
            preset = self._run.snapshot.config.as_preset(f"from {self._run.run.name}")
            self.post_message(OpenRequested(preset))

    def action_evaluate(self) -> None:
        """Ask the app for an evaluation."""
        if self._run is not None:
            self.post_message(EvaluateRequested(self._run.run))

    def action_predict(self) -> None:
        """Ask the app for the screen that classifies images."""
        if self._run is not None:
            self.post_message(PredictRequested(self._run.run))

    @work
    async def action_export(self) -> None:
        """Write the run for other programs."""
        from alexplore.tui.screens.run_dialogs import export

        if self._run is not None:
            await export(self, self._run.run)

    def action_inside(self) -> None:
        """Ask the app for the screen that shows the network."""
        if self._run is not None:
            self.post_message(InsideRequested(self._run))

    def action_console(self) -> None:
        """Show the worker's output below the log."""
        if self._run is None or self._shows_console:
            return
        self._shows_console = True
        entries = self._run.console_entries()
        self.query_one(LogView).add(entries or [LogEntry("the worker wrote nothing")])

    def action_new(self) -> None:
        """Ask the app for the form of another run."""
        self.state.open_form(planned_from="train")
        self.post_message(ModeRequested("train"))

    def action_stop(self) -> None:
        """Stop the run after a checkpoint."""
        self._ask("stop")

    def action_pause(self) -> None:
        """Pause the run, or let it continue: its state may be newer than the key's name on the screen."""
        if self._run is not None:
            self._ask("resume" if read_status(self._run.run).state == PAUSED else "pause")

    def action_unpause(self) -> None:
        """Let the run continue, or pause it."""
        self.action_pause()

    def action_checkpoint(self) -> None:
        """Save a checkpoint now."""
        self._ask("checkpoint")

    def action_stop_after_epoch(self) -> None:
        """Stop the run at the end of this epoch."""
        self._ask("stop_after_epoch")

    def action_evaluate_now(self) -> None:
        """Let the worker evaluate between two steps."""
        self._ask("evaluate")

    def action_learning_rate(self) -> None:
        """Ask for another learning rate, and train on with it; a finished run needs more epochs for that, too."""
        snapshot = self._run.snapshot if self._run is not None else None
        finished = snapshot is not None and snapshot.status.state == FINISHED
        self._ask_for_values("lr", *(("epochs",) if finished else ()))

    def action_epochs(self) -> None:
        """Ask for another number of epochs, and train on."""
        self._ask_for_values("epochs")

    @work
    async def _ask_for_values(self, *keys: str) -> None:
        """Ask for other values of keys of the recipe, and train on with them."""
        if self._run is None or self._run.snapshot is None:
            return
        watched, recipe = self._run.run, self._run.snapshot.config.recipe
        values = {}
        for key in keys:
            title, note = STEERED[key]
            answer = await self.app.push_screen_wait(Ask(title, toml_text(getattr(recipe, key)), note))
            if answer is None:
                return
            values[key] = parse_text(answer)
        self._train_on(watched, values)

    @work(thread=True)
    def _train_on(self, run: RunDirectory, values: dict[str, Any]) -> None:
        """Ask the worker for other values; of a run that has ended, resume the training with them."""
        live = read_status(run).live
        try:
            if live:
                service.steer(run, values)
            else:
                service.restart(run, values)
        except AlexploreError as error:
            self.notify(str(error), severity="warning")
        else:
            words = "asked to change {}" if live else "trains on, with {}"
            joined = " to " if live else " "
            changes = ", ".join(f"{key}{joined}{toml_text(value)}" for key, value in values.items())
            self.notify(words.format(changes))

    @work(thread=True)
    def _ask(self, action: str) -> None:
        if self._run is None:
            return
        try:
            service.ask(self._run.run, action)
        except AlexploreError as error:
            self.notify(str(error), severity="warning")
        else:
            self.notify(f"asked to {ACTIONS[action]}")

    @work
    async def action_resume(self) -> None:
        """Continue the run from its last checkpoint; ask first if it has none and would start from step 0."""
        from alexplore.tui.screens.run_dialogs import resume

        if self._run is not None and self._run.snapshot is not None:
            await resume(self, self._run.snapshot)

    def action_log_scale(self) -> None:
        """Switch between a logarithmic and a plain axis for the loss."""
        self.state.log_loss = not self.state.log_loss
        self.query_one("#loss", Curves).show_logarithmic(self.state.log_loss)

    def action_unit(self) -> None:
        """Draw over minutes, or over epochs."""
        self._unit = MINUTES if self._unit == EPOCHS else EPOCHS
        self._draw_curves()

    def action_rate(self) -> None:
        """Draw the learning rate in the place of the accuracy, or the accuracy again."""
        self._shows_rate = not self._shows_rate
        self._draw_curves()

    def action_raw(self) -> None:
        """Show or hide the unsmoothed curves."""
        self.state.raw_curves = not self.state.raw_curves
        self._draw_curves()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key works: a live run can be paused and stopped, one that has ended resumed."""
        status = self._run.snapshot.status if self._run and self._run.snapshot else None
        if action in LIVE_ACTIONS:
            return status is not None and status.live
        if action in ("pause", "unpause"):
            return status is not None and status.live and (status.state == PAUSED) == (action == "unpause")
        if action == "resume":
            return status is not None and status.resumable
        if action == "learning_rate":
            return status is not None and (status.live or status.resumable or status.state == FINISHED)
        if action == "epochs":
            return status is not None
        return True


def _keys(status: Status) -> tuple[bool, bool]:
    """Return what `check_action` depends on that changes while a run is watched."""
    return status.live, status.state == PAUSED


def _line_count(text: str, shown: Static) -> int:
    width = shown.content_size.width or 80
    return sum(len(wrap_cells(line, width)) for line in text.splitlines())
