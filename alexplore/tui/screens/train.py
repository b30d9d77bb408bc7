"""Train: a recipe to start with, and the run that is being watched: progress, curves, log, control."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rich.progress_bar import ProgressBar
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import get_current_worker

from alexplore.core.formatting import bytes_text
from alexplore.core.settings import SettingError, read_settings, setting_fields, settings_of
from alexplore.presets.recipe import Recipe, change_recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.control import request
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.launch import launch
from alexplore.runs.messages import event_words, number_words, speed_words
from alexplore.runs.status import read_status
from alexplore.runs.watch import Curve, Snapshot, Watch
from alexplore.tui.edit_session import Workspace
from alexplore.tui.widgets.curves import Curves, Line
from alexplore.tui.widgets.key_bar import KeyBar
from alexplore.tui.widgets.run_log import RunLog
from alexplore.tui.widgets.settings_editor import SettingsEditor

if TYPE_CHECKING:
    from alexplore.tui.app import ExploreApp

POLL_SECONDS = 0.5
LIVELY_SECONDS = 30.0  # after which a second will do
MOST_SECONDS = 8.0  # between two drawings of curves that change
WIDE = 100


@dataclass(frozen=True)
class Drawing:
    """Curves to be drawn, and the same smoothed."""

    curves: Mapping[str, Curve] = field(default_factory=dict)
    smooth: Mapping[str, Curve] = field(default_factory=dict)


@dataclass
class Polled(Message):
    """What a run's directory told; a newer one takes the place of one that was not drawn yet."""

    snapshot: Snapshot
    drawing: Drawing

    def can_replace(self, message: Message) -> bool:
        """Only the newest counts."""
        return isinstance(message, Polled)


@dataclass
class Unreadable(Message):
    """A run's directory tells nothing."""

    run: RunDirectory
    reason: str


class TrainScreen(Screen[None]):
    """Starts a run, or shows one."""

    CSS_PATH = "train.tcss"

    COMPONENT_CLASSES: ClassVar[set[str]] = {"train--done", "train--left"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "Start", tooltip="Start the training that the form describes"),
        Binding("n", "new", "New", tooltip="Set up a training of the network in Explore"),
        Binding("x", "stop", "Stop", tooltip="Stop the run after a checkpoint; it can be resumed"),
        Binding("space", "pause", "Pause", tooltip="Let the run wait, or go on"),
        Binding("r", "resume", "Resume", tooltip="Go on with a run that was stopped, failed or crashed"),
        Binding("c", "checkpoint", "Save", tooltip="Save a checkpoint now"),
        Binding("l", "log_scale", "Log scale", show=False, tooltip="Loss on a logarithmic axis, or a plain one"),
        Binding("w", "raw", "Raw", show=False, tooltip="Show or hide the unsmoothed training curve"),
    ]

    app: ExploreApp

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self._shown: RunDirectory | None = None
        self._snapshot: Snapshot | None = None
        self._filled_from: tuple[str, Recipe] | None = None
        self._drawing = Drawing()
        self._logarithmic = False
        self._raw = True
        self._told = -1
        self._console_told = False

    def compose(self) -> ComposeResult:
        """The form, or the run."""
        yield SettingsEditor(id="recipe", classes="frame")
        with Vertical(id="run", classes="frame"):
            yield Static(id="run-state", markup=False)
            yield Static(id="run-progress")
            with Horizontal(id="curves"):
                yield Curves(id="loss")
                yield Curves(id="accuracy")
            yield RunLog(id="log")
        yield KeyBar()

    async def on_mount(self) -> None:
        """Name the parts."""
        self.query_one("#loss").border_title = "loss"
        self.query_one("#accuracy").border_title = "accuracy"
        self.query_one("#log").border_title = "log"
        self.query_one("#recipe").border_subtitle = "enter starts · escape goes back"

    async def on_screen_resume(self) -> None:
        """Show the run that is attached, or the form: also when a dialog over it closes."""
        run = self.app.attached
        if run is None or self.app.planning:
            self._show_form()
        else:
            self._show_run(run)

    def on_screen_suspend(self) -> None:
        """Nobody looks: stop reading."""
        self.workers.cancel_group(self, "watch")

    # Starting

    def _show_form(self) -> None:
        """Show the form; what was typed stays in it until another recipe takes its place."""
        preset = self.workspace.preset
        form = self.query_one("#recipe", SettingsEditor)
        form.border_title = Text(f"Train {self.workspace.title}")
        form.display, self.query_one("#run").display = True, False
        if self._filled_from != (preset.name, preset.recipe):
            self._filled_from = (preset.name, preset.recipe)
            values = {**settings_of(preset.recipe), **settings_of(Hardware())}
            form.edit((Recipe, Hardware, DataSource), values, columns=2 if self.size.width < WIDE else 3)
        form.focus()  # also where it was filled before a run was shown, whose log has the keys
        self.refresh_bindings()

    def _planned(self, values: Mapping[str, Any]) -> RunConfig:
        given = {key: value for key, value in values.items() if value is not None}
        parts = {
            cls: {key: value for key, value in given.items() if key in setting_fields(cls)}
            for cls in (Recipe, Hardware, DataSource)
        }
        return RunConfig(
            self.workspace.preset.name,
            self.workspace.network,
            change_recipe(Recipe(), parts[Recipe]),
            Hardware(**read_settings(Hardware, parts[Hardware])),
            DataSource(**read_settings(DataSource, parts[DataSource])),
        )

    @on(SettingsEditor.Changed)
    def _typed(self, event: SettingsEditor.Changed) -> None:
        form = self.query_one("#recipe", SettingsEditor)
        try:
            recipe = self._planned(event.values).recipe
        except SettingError as error:
            form.complain(str(error))
            return
        form.complain("")
        analysis = self.workspace.analysis
        memory = analysis.memory(recipe.batch_size, recipe.optimizer, recipe.momentum, recipe.activation_bits)
        form.border_subtitle = f"takes {bytes_text(memory.total)} · enter starts · escape goes back"

    @on(SettingsEditor.Committed)
    def action_start(self) -> None:
        """Start what the form describes."""
        broken = self.workspace.analysis.broken
        form = self.query_one("#recipe", SettingsEditor)
        if broken:
            form.complain(f"this network can't train: {broken.error}")
            return
        try:
            config = self._planned(form.values)
            run = create_run(config, self.app.runs_folder)
        except (SettingError, RunError) as error:
            form.complain(str(error))
            return
        self.workspace.with_recipe(config.recipe)
        self._filled_from = (config.preset, config.recipe)
        self.app.attach(run)
        self._launch(run)

    @on(SettingsEditor.Cancelled)
    def _cancel(self) -> None:
        if self.app.attached is None:
            self.app.action_mode("explore")
        else:
            self.app.attach(self.app.attached)

    @work(thread=True)
    def _launch(self, run: RunDirectory) -> None:
        try:
            launch(run)
        except RunError as error:
            self.notify(str(error), title="Not started", severity="error", markup=False, timeout=20)

    # Watching

    def _show_run(self, run: RunDirectory) -> None:
        self._told = -1
        self._console_told = False
        if self._shown != run:
            self._shown = run
            self._show_nothing()
        self.query_one("#recipe").display, self.query_one("#run").display = False, True
        self.query_one(RunLog).forget()
        self.query_one("#run").border_title = Text(run.name)
        self.query_one("#log").focus()
        self.refresh_bindings()
        self._watch(run)

    def _show_nothing(self, reason: str = "") -> None:
        """Take away what was drawn of a run; say why, where nothing of the next follows."""
        self._snapshot, self._drawing = None, Drawing()
        self.query_one("#run-state", Static).update(reason)
        self.query_one("#run-progress", Static).update()
        for curves in self.query(Curves):
            curves.draw_nothing()

    @work(thread=True, exclusive=True, group="watch")
    def _watch(self, run: RunDirectory) -> None:
        worker = get_current_worker()
        try:
            watch = Watch(run)
        except RunError as error:
            self.post_message(Unreadable(run, str(error)))
            return
        opened, drawn_at, epochs, drawing = time.monotonic(), 0.0, 0, Drawing()
        while not worker.is_cancelled:
            snapshot = watch.poll()
            now, curves = time.monotonic(), snapshot.curves
            # The longer a run has been watched, the less another second shows; and drawing takes time from training.
            due = drawn_at + min(MOST_SECONDS, (now - opened) / 8)
            if curves is not drawing.curves and (
                now >= due or len(snapshot.epochs) > epochs or not snapshot.status.live
            ):
                drawn_at, epochs = now, len(snapshot.epochs)
                smooth = {name: curve.smoothed() for name, curve in curves.items() if name.startswith("train/")}
                drawing = Drawing(curves, smooth)
            self.post_message(Polled(snapshot, drawing))
            wait = POLL_SECONDS if now - opened < LIVELY_SECONDS else 2 * POLL_SECONDS
            while time.monotonic() < now + wait and not worker.is_cancelled:
                time.sleep(0.1)

    @on(Polled)
    def _polled(self, event: Polled) -> None:
        if event.snapshot.run != self.app.attached:  # the last word about the run that was watched before
            return
        self._snapshot = event.snapshot
        with self.app.batch_update():
            self._draw_state(event.snapshot)
            self._tell(event.snapshot)
            if event.drawing is not self._drawing:
                self._drawing = event.drawing
                self._draw_curves()

    @on(Unreadable)
    def _unreadable(self, event: Unreadable) -> None:
        if event.run == self.app.attached:
            self._show_nothing(f"✗ {event.reason}")

    def _draw_state(self, snapshot: Snapshot) -> None:
        status, config = snapshot.status, snapshot.config
        words = [f"{status.state} · {config.preset} on {config.recipe.dataset}"]
        if config.recipe.dataset == "synthetic":
            words[0] += " (images drawn by the program, not real ones)"
        if status.reason:
            words.append(status.reason)
        numbers = [
            f"epoch {status.epoch:.2f}/{config.recipe.epochs}",
            f"{snapshot.fraction:.0%}",
            f"step {status.step:,}",
        ]
        numbers += number_words(snapshot.latest)
        numbers += speed_words(snapshot)
        text = " · ".join(words) + "\n" + " · ".join(numbers)
        state = self.query_one("#run-state", Static)
        if text != state.content:
            state.update(text, layout=_lines(text, state) != _lines(str(state.content), state))
            self._draw_progress(snapshot.fraction)

    def _draw_progress(self, fraction: float) -> None:
        """Textual's own bar has the screen laid out anew at every change, for which training would wait."""
        done, left = (self.get_component_rich_style(f"train--{name}", partial=True) for name in ("done", "left"))
        bar = ProgressBar(1.0, fraction, style=left, complete_style=done, finished_style=done)
        self.query_one("#run-progress", Static).update(bar, layout=False)

    def _draw_curves(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        colours = self.app.get_css_variables()
        train, faint, validation = colours["primary"], colours["primary-muted"], colours["accent"]
        span = max(1.0, snapshot.status.epoch, min(snapshot.config.recipe.epochs, snapshot.status.epoch * 1.25))
        for metric, logarithmic in (("loss", self._logarithmic), ("acc", False)):
            raw = self._drawing.curves.get(f"train/{metric}", Curve())
            lines = [Line(None, raw, faint)] if self._raw else []
            lines.append(Line("train", self._drawing.smooth.get(f"train/{metric}", Curve()), train))
            lines.append(Line("validation", self._drawing.curves.get(f"val/{metric}", Curve()), validation, marker="●"))
            widget = self.query_one("#loss" if metric == "loss" else "#accuracy", Curves)
            widget.draw(lines, span, logarithmic=logarithmic, rising=metric == "acc")

    def _tell(self, snapshot: Snapshot) -> None:
        log = self.query_one(RunLog)
        for event in snapshot.events_after(self._told):
            self._told = event["seq"]
            if words := event_words(event, snapshot.config.recipe.epochs):
                stamp = time.strftime("%H:%M:%S ", time.localtime(event.get("time", 0)))
                log.tell(Text.assemble((stamp, "dim"), words))
        ended = snapshot.status.state in ("crashed", "failed")
        if ended and not self._console_told:
            for line in snapshot.run.console_tail(8):
                log.tell(Text(line, style="red"))
        self._console_told = ended

    # Control

    async def action_new(self) -> None:
        """Show the form for another run."""
        self.app.planning = True
        self.workers.cancel_group(self, "watch")
        self._show_form()
        self.query_one("#recipe", SettingsEditor).go_to(0)

    def action_stop(self) -> None:
        """Stop after a checkpoint."""
        self._ask("stop")

    def action_pause(self) -> None:
        """Wait, or go on."""
        run = self.app.attached
        if run is not None:
            self._ask("resume" if read_status(run).state == "paused" else "pause")

    def action_checkpoint(self) -> None:
        """Save now."""
        self._ask("checkpoint")

    @work(thread=True)
    def _ask(self, action: str) -> None:
        run = self.app.attached
        if run is None:
            return
        try:
            request(run, action)
        except RunError as error:
            self.notify(str(error), severity="warning", markup=False)
        else:
            self.notify(f"asked to {action}")

    def action_resume(self) -> None:
        """Go on from the last checkpoint."""
        run = self.app.attached
        if run is None:
            return
        status = read_status(run)
        if status.resumable:
            self._launch(run)
        elif status.state == "paused":
            self._ask("resume")
        else:
            self.notify(f"{run.name} is {status.state}: there is nothing to resume", markup=False)

    def action_log_scale(self) -> None:
        """Another axis for the loss."""
        self._logarithmic = not self._logarithmic
        self._draw_curves()

    def action_raw(self) -> None:
        """With or without the unsmoothed curve."""
        self._raw = not self._raw
        self._draw_curves()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys for a run work where one is shown."""
        form = self.is_mounted and self.query_one("#recipe").display
        if action in ("stop", "pause", "checkpoint", "resume", "log_scale", "raw", "new"):
            return not form
        return bool(form) if action == "start" else True


def _lines(text: str, shown: Static) -> int:
    width = shown.content_size.width or 80
    return sum(len(textwrap.wrap(line, width)) for line in text.splitlines())
