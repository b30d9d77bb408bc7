"""The app: its three modes (Explore, Train, Runs), the keys that work everywhere, and the requests of screens."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

from textual import on, work
from textual._compositor import CompositorUpdate
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Resize, ScreenResume
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import WorkerFailed, get_current_worker

from alexplore.core.boundary import ACTIONABLE, error_text
from alexplore.core.errors import AlexploreError
from alexplore.core.formatting import shortened
from alexplore.core.home import home_path
from alexplore.core.settings import found_text, nearest
from alexplore.core.terminal_notice import notice
from alexplore.presets.preset import Preset
from alexplore.runs.occasion_kinds import OCCASIONS, USUAL
from alexplore.tui.changed_cells import ChangedCells, Screenful
from alexplore.tui.hang_up import CHECK_SECONDS, end_by_hang_up, is_hung_up
from alexplore.tui.inert_filter import InertFilter
from alexplore.tui.messages import (
    ChoiceRequested,
    EvaluateRequested,
    FormRequested,
    InsideRequested,
    LessonLeft,
    LessonPointed,
    ModeRequested,
    OpenRequested,
    Outcome,
    OverviewRequested,
    PlanRequested,
    PredictRequested,
    RunsListed,
    RunsSummarised,
    TourActionRequested,
    WatchRequested,
)
from alexplore.tui.named_keys import ACTIONS, NamedKeys
from alexplore.tui.palette import app_colours
from alexplore.tui.polling import pause
from alexplore.tui.preferences import PreferencesError, PreferencesStore
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import MODES, AppState, Mode
from alexplore.tui.terminal_pictures import TerminalPictures
from alexplore.tui.widgets.layer_table import OPTIONAL_COLUMNS
from alexplore.tui.widgets.line_widget import LineWidget
from alexplore.tui.widgets.mode_bar import ModeBar

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.command import Provider

    from alexplore.runs.directory import RunDirectory
    from alexplore.runs.evaluation import Evaluation
    from alexplore.runs.foreign import ForeignLog
    from alexplore.runs.summary import Summary
    from alexplore.tui.guides import Guides
    from alexplore.tui.opening import Opener

ScreenName = Literal["plan", "watch", "runs"]
SCREENS: tuple[ScreenName, ...] = get_args(ScreenName)

HERE = Path(__file__).parent
WIDE, LOW, HIGH, TALL = 110, 24, 30, 50  # columns and lines from which more is shown
MOST_THREADS = 32  # that wait for processes and files at a time
MONITOR_SECONDS = 2.0  # between two summaries of the runs, for the line of modes
FIRST_MONITOR_SECONDS = 0.5  # after the first screen
PREPARE_SECONDS = 1.0  # after a screen is shown; then the screens one key away are prepared
MOST_COPIED = 50  # characters of what was copied that are shown
INTERRUPT_SECONDS = 3.0  # within which a second Ctrl-C closes the app
MOUNT_SECONDS = 0.02
"""Seconds between two checks whether the screens are mounted."""

SIXTEEN_COLOURS = "standard"  # what Rich calls a terminal of so many
PLAIN_THEMES = {True: ("textual-dark", "ansi-dark"), False: ("textual-light", "ansi-light")}
"""The themes that take the place of a dark or a light one that the terminal can't show."""
SIGNALLED = 128  # plus the number of a signal: the exit code of a program that the signal ended, as in shells
SEVERITIES: Mapping[str, SeverityLevel] = {
    "failed": "error",
    "nonfinite": "error",
    "crashed": "error",
    "stalled": "warning",
}
"""The severities of what happens to a run, in the status line."""

TEXTUAL_COMMANDS = ("Theme", "Screenshot", "Maximize", "Minimize")  # Textual's commands that the palette offers


def _commands() -> type[Provider]:
    """Return the provider of the palette's commands."""
    from alexplore.tui.commands import AppCommands

    return AppCommands


class ExploreApp(NamedKeys, App[None]):
    """Explore, Train and Runs over one network and one folder of runs."""

    TITLE = "alexplore"
    KEYS_OF = "app"
    CSS_PATH: ClassVar[list[str | PurePath]] = [HERE / "app.tcss", HERE / "screens" / "explore.tcss"]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 (Textual declares them)
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (LOW, "-low"), (HIGH, "-high"), (TALL, "-tall")]  # noqa: RUF012
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "help", tooltip="Every key that works here, and the words of the app"),
        Binding("ctrl+p", "command_palette", "palette", priority=True, tooltip="Everything that can be done, by name"),
        Binding("tab", "app.focus_next", "next pane", tooltip="Go to the next pane"),
        Binding("shift+tab", "app.focus_previous", "pane before", show=False, tooltip="Go to the pane before"),
        Binding("1,alt+1", "mode('explore')", "explore", tooltip="Networks, layers and their arithmetic"),
        Binding("2,alt+2", "mode('train')", "train", tooltip="Start a training and watch it"),
        Binding("3,alt+3", "mode('runs')", "runs", tooltip="Every run: watch, stop, resume, compare"),
        Binding("y", "copy", "copy", tooltip="Copy what is selected to the clipboard of the terminal"),
        Binding("ctrl+o", "jump", "jump", tooltip="Put a letter on each pane; the letter goes there"),
        Binding("q", "quit", "quit", tooltip="Close the app; training goes on"),
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, tooltip="Close the app; training goes on"),
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True, tooltip="Copy a selection, or close the app"),
        Binding("ctrl+l", "repaint", "repaint", show=False, tooltip="Draw the screen again"),
        Binding("ctrl+z", "suspend_process", "suspend", show=False, tooltip="Go back to the shell; fg comes back"),
    ]

    def __init__(
        self,
        preset: Preset,
        runs_folder: Path,
        attached: RunDirectory | None = None,
        preferences: PreferencesStore | None = None,
        *,
        welcome: bool = False,
        log: ForeignLog | None = None,
        problem: str = "",
        pictures: TerminalPictures | None = None,
    ) -> None:
        """Open a preset, and watch the run `attached` if one is given; without `preferences` use the defaults.

        `log` is the log of another program, which is shown instead of a run. `pictures` are drawn in the terminal's
        pixels; without them all pictures are in half blocks. `welcome` shows the welcome card if there are no runs,
        unless the preferences say not to. `problem` is shown with those of the preferences.
        """
        super().__init__()
        self._problem = problem
        self.preferences = preferences or PreferencesStore(None)
        self._filters.append(InertFilter())
        self.state = AppState(preset, runs_folder)
        self.set_keymap(self.preferences.values.keys)
        if attached is not None:
            self.state.watch(attached)
        self.exit_message = ""
        self._evaluating: set[RunDirectory] = set()
        self._interrupted_at = float("-inf")
        self._overview_texts: list[tuple[str, str]] = []
        self._listed_at = float("-inf")  # when a screen listed the runs
        self._leave_question: Screen[Any] | None = None
        self._welcome = welcome
        self._foreign_log = log
        self.pictures = pictures or TerminalPictures()
        self._terminal = Screenful(self.pictures)

    def on_ready(self) -> None:
        """Keep the garbage collector from scanning the app's own objects between keystrokes."""
        gc.freeze()

    def on_mount(self) -> None:
        """Show the first screen: a log, a run, or a mode; start to monitor the runs some time later."""
        # asyncio's own executor has six threads on two processors, and each evaluation keeps one.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MOST_THREADS))
        self.app_suspend_signal.subscribe(self, lambda _: self._remove_pictures())
        self.app_resume_signal.subscribe(self, lambda _: self._terminal.forget())
        self.theme = self._first_theme()
        if self._foreign_log is not None:
            from alexplore.tui.screens.foreign import ForeignScreen

            self.push_screen(ForeignScreen(self._foreign_log))
        elif self.state.watched:
            self.action_mode("train")
        elif self.preferences.values.start != "explore":
            self.action_mode(cast("Mode", self.preferences.values.start))
        elif self._welcome and self.preferences.values.welcome:
            self.call_after_refresh(self._greet)
        if problems := "; ".join(self._problems()):
            self.notify(problems, severity="warning")
        self.set_timer(FIRST_MONITOR_SECONDS, self._monitor)
        self.set_timer(PREPARE_SECONDS, self._prepare_screens)
        if not self.is_headless:
            self.set_interval(CHECK_SECONDS, self._check_terminal)

    def _usable_themes(self) -> list[str]:
        """Return the names of the themes that this terminal can show, in alphabetical order.

        With NO_COLOR Textual shows greys, and makes the terminal's own colours black; on a terminal of 16 colours,
        the colours of other themes would become reds.
        """
        themes = sorted(self.available_themes.items())
        if self.no_color:
            return [name for name, theme in themes if not theme.ansi]
        if self.console.color_system == SIXTEEN_COLOURS:
            return [name for name, theme in themes if theme.ansi]
        return [name for name, _ in themes]

    def _first_theme(self) -> str:
        """Return the preferred theme, or one as dark that the terminal can show."""
        preferred = self.available_themes.get(self.preferences.values.theme, self.current_theme)
        usable = self._usable_themes()
        if preferred.name in usable:
            return preferred.name
        return next(name for name in PLAIN_THEMES[preferred.dark] if name in usable)

    def _problems(self) -> Iterable[str]:
        """Yield what is wrong with the preferences."""
        yield from filter(None, (self._problem, self.preferences.problem))
        theme = self.preferences.values.theme
        if theme not in self.available_themes:
            yield f"theme: there is no {found_text(theme)}{nearest(theme, self.available_themes)}"
        for kind in self.preferences.values.notify_on:
            if kind not in OCCASIONS:
                yield f"notify_on: there is no {found_text(kind)}{nearest(kind, OCCASIONS)}"
        for title in self.preferences.values.hidden_columns:
            if title not in OPTIONAL_COLUMNS:
                yield f"hidden_columns: there is no column {found_text(title)}{nearest(title, OPTIONAL_COLUMNS)}"
        if self.preferences.values.keys:
            from alexplore.tui.screens import plan, predict, runs, watch  # noqa: F401 (importing them declares their actions)

            for name in self.preferences.values.keys:
                if name not in ACTIONS:
                    yield f"[keys]: there is no action {found_text(name)}{nearest(name, ACTIONS)}"

    def prefer(self, **changes: Any) -> None:
        """Change preferences; if they can't be saved, show why."""
        try:
            self.preferences.change(**changes)
        except PreferencesError as error:
            self.notify(str(error), severity="warning")

    def action_preferences(self) -> None:
        """Show where the preferences are, in a file that is made if there is none."""
        try:
            self.notify(f"edit {home_path(self.preferences.make_file())}: it is read when alexplore starts")
        except PreferencesError as error:
            self.notify(str(error), severity="warning")

    def get_css_variables(self) -> dict[str, str]:
        """Return the theme's variables with the colours of `palette`, which are readable in every theme."""
        variables = super().get_css_variables()
        return variables | app_colours(variables, light=not self.current_theme.dark, grey=self.no_color)

    # What is written to the terminal

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Write only the cells that changed."""
        if isinstance(renderable, CompositorUpdate):
            renderable = ChangedCells(renderable, self._terminal)
        super()._display(screen, renderable)

    def on_resize(self, event: Resize) -> None:
        """Write every cell again: terminals differ in which cells they keep when resized."""
        self.pictures.measure()
        self._terminal.forget()

    def _remove_pictures(self) -> None:
        """Remove the pictures drawn over the cells; the cells are written again when the app resumes."""
        removals = self._terminal.removals()
        if self._driver is not None and removals:
            self._driver.write(removals)

    def action_repaint(self) -> None:
        """Write every cell again, after another program has written to the terminal."""
        self._terminal.forget()
        self.refresh()

    def _handle_exception(self, error: Exception) -> None:
        """Show an error of a worker that a person can act on, and go on; any other exception ends the app.

        Textual ends the app for each of them, and edits would be lost.
        """
        if isinstance(error, WorkerFailed) and isinstance(error.error, ACTIONABLE):
            self.notify(error_text(error.error), severity="error")
        else:
            super()._handle_exception(error)

    # What every screen shows

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show an outcome in the status line; `title`, if any, comes before it. Call it from any thread.

        `timeout` and `markup` are Textual's and change nothing: a message is shown as it is, until the next one.
        """
        self.post_message(Outcome(f"{title}: {message}" if title else message, severity))

    @on(Outcome)
    def _show_outcome(self, event: Outcome) -> None:
        screen = next((screen for screen in reversed(self.screen_stack) if isinstance(screen, FrameScreen)), None)
        if screen is not None:
            screen.show_outcome(event.text, event.severity)

    @work(thread=True, exclusive=True, group="monitor")
    def _monitor(self) -> None:
        """Summarise all runs repeatedly for the line of modes, while no screen lists them."""
        from alexplore.runs.directory import RunError, list_runs
        from alexplore.runs.summary import RunList

        worker, run_list = get_current_worker(), RunList()
        while not worker.is_cancelled and self.is_running:
            if time.monotonic() - self._listed_at > MONITOR_SECONDS:
                with suppress(RunError):  # Runs says why the folder can't be read
                    self.post_message(RunsSummarised(run_list.summarise(list_runs(self.state.runs_folder))))
            pause(worker, MONITOR_SECONDS)

    @on(RunsListed)
    def _runs_listed(self, event: RunsListed) -> None:
        self._listed_at = time.monotonic()
        self._take_overview([run.summary for run in event.runs])

    @on(RunsSummarised)
    def _runs_summarised(self, event: RunsSummarised) -> None:
        self._take_overview(event.summaries)

    def _take_overview(self, summaries: Sequence[Summary]) -> None:
        self._overview_texts = self.state.run_monitor.overview(summaries).texts
        self._show_overview()
        for occasion in self.state.run_monitor.occasions(summaries):
            if occasion.kind in self.preferences.values.notify_on:
                self._notify_user(occasion.text)
            if occasion.kind in USUAL and not self._is_watching(occasion.summary.run):
                self.notify(occasion.text, severity=SEVERITIES.get(occasion.kind, "information"))

    def _is_watching(self, run: RunDirectory) -> bool:
        """Return whether the screen of a run is shown, which itself says what happens to the run."""
        watched, shown = self.state.watched, self.screen_stack[-1]
        in_train = isinstance(shown, FrameScreen) and shown.MODE == "train" and not self.state.shows_form
        return in_train and watched is not None and watched.run == run

    def _notify_user(self, text: str) -> None:
        """Ring the terminal's bell or show a notification, as the preferences say."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(notice(self.preferences.values.notify, text))

    def _show_overview(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, FrameScreen):
                screen.show_runs(self._overview_texts)

    @on(ModeBar.Picked)
    def _mode_picked(self, event: ModeBar.Picked) -> None:
        self.action_mode(event.mode)

    def action_copy(self) -> None:
        """Copy what the focused pane has selected."""
        focused = self.screen.focused
        text = focused.copied_text() if isinstance(focused, LineWidget) else ""
        if text:
            self.copy_to_clipboard(text)
            first, *rest = text.splitlines()
            shown = shortened(" ".join(first.split()), MOST_COPIED)  # in one line of the narrowest terminal
            self.notify(f"copied: {shown}" + (f" and {len(rest)} more lines" if rest else ""))
        else:
            self.notify("nothing to copy here", severity="warning")

    def action_jump(self) -> None:
        """Put a letter on each pane."""
        from alexplore.tui.screens.jump import JumpScreen

        if not self.screen.is_modal:
            self.push_screen(JumpScreen(self.screen))

    async def action_interrupt(self) -> None:
        """Copy the selected text, if there is some; else close the app when pressed twice."""
        focused = self.screen.focused
        selected = focused.selected_text if isinstance(focused, Input | LineWidget) else ""
        if selected := selected or self.screen.get_selected_text() or "":
            self.copy_to_clipboard(selected)
            self.notify(f"copied: {selected.splitlines()[0]}")
        elif time.monotonic() - self._interrupted_at < INTERRUPT_SECONDS:
            self._leave()
        else:
            self._interrupted_at = time.monotonic()
            lost = f", and the edits of {self.state.session.preset.name} are lost" if self.state.session.unsaved else ""
            self.notify(f"ctrl+c again closes the app{lost}; training goes on", severity="warning")

    # The modes are screens: Explore is the bottom of the stack, Train or Runs is above it. Textual's modes would read
    # every style sheet twice before the first screen.

    def get_default_screen(self) -> Screen[None]:
        """Return Explore, which the app opens with."""
        # Textual sets the classes of a size itself, but only after the first layout.
        sizes = ((self.size.width, self.HORIZONTAL_BREAKPOINTS), (self.size.height, self.VERTICAL_BREAKPOINTS))
        classes = " ".join(max(point for point in points if point[0] <= size)[1] for size, points in sizes)
        return ExploreScreen(self.state.session, classes, self.preferences.values.hidden_columns)

    @property
    def explore(self) -> ExploreScreen:
        """The screen below Train and Runs."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ExploreScreen)
        return screen

    def _new_screen(self, name: ScreenName) -> Screen[None]:
        if name == "plan":
            from alexplore.tui.screens.plan import PlanScreen

            return PlanScreen(self.state)
        if name == "watch":
            from alexplore.tui.screens.watch import WatchScreen

            return WatchScreen(self.state)
        from alexplore.tui.screens.runs import RunsScreen

        return RunsScreen(self.state)

    @work(thread=True, group="prepare")
    def _prepare_screens(self) -> None:
        """Import the screens of Train and Runs, so that their first key is fast."""
        import psutil  # noqa: F401

        from alexplore.tui import planned_run  # noqa: F401
        from alexplore.tui.screens import plan, runs, watch  # noqa: F401

        self.call_later(self._install_screens)

    def _install_screens(self) -> None:
        for name in SCREENS:
            if not self.is_screen_installed(name):
                self.install_screen(self._new_screen(name), name)
        self._read_styles([self.get_screen(name) for name in SCREENS])

    @work(thread=True, group="prepare")
    def _prepare_inside(self) -> None:
        """Import the screen Inside, which is one key away from the watched run."""
        from alexplore.tui.screens.inside import InsideScreen

        self.pictures.prepare()
        if self.state.watched is not None:
            self.call_later(self._read_styles, [InsideScreen(self.state.watched)])

    def _read_styles(self, screens: Sequence[Screen[Any]]) -> None:
        """Read the style sheets of screens that were not shown yet, all together: each update applies all rules."""
        new = [path for screen in screens for path in screen.css_path if not self.stylesheet.has_source(str(path), "")]
        for path in new:
            self.stylesheet.read(path)
        if new:
            self.stylesheet.reparse()
            self.stylesheet.update(self)

    @on(OverviewRequested)
    def _fill_overview(self) -> None:
        self._show_overview()
        if self.state.tour is not None:
            self.call_later(self.guides.show_tour, focus=False)

    def action_mode(self, mode: Mode) -> None:
        """Show Explore, Train (the form or the watched run) or Runs, as the user left it."""
        if mode == "explore":
            while len(self.screen_stack) > 1:
                self.pop_screen()
            return
        name: ScreenName = "runs" if mode == "runs" else "plan" if self.state.shows_form else "watch"
        if not self.is_screen_installed(name):
            self.install_screen(self._new_screen(name), name)
        if name == "watch":
            self.set_timer(PREPARE_SECONDS, self._prepare_inside)
        if self.screen is self.get_screen(name):
            self.screen.post_message(ScreenResume())  # the watched run may have changed
        elif len(self.screen_stack) > 1:
            self.switch_screen(name)
        else:
            self.push_screen(name)

    # Requests of the screens

    @on(ModeRequested)
    def _show_mode(self, event: ModeRequested) -> None:
        self.action_mode(event.mode)

    @on(PlanRequested)
    def _plan(self) -> None:
        self.state.open_form(planned_from="explore")
        self.action_mode("train")

    @on(WatchRequested)
    async def _watch_requested(self, event: WatchRequested) -> None:
        if self.state.tour is not None and self.state.tour.is_last:  # its last step is to start a run
            await self.guides.leave_tour()
        self.watch_run(event.run)

    def watch_run(self, run: RunDirectory) -> None:
        """Watch a run in Train."""
        self.state.watch(run)
        self.action_mode("train")

    def _cells(self) -> int:
        """Return how many cells the terminal has."""
        return self.size.width * self.size.height

    @on(PredictRequested)
    def _predict(self, event: PredictRequested) -> None:
        from alexplore.tui.picture_lines import drawer
        from alexplore.tui.screens.predict import PredictScreen

        if self._has_weights(event.run):
            self.push_screen(PredictScreen(event.run, drawer(self.pictures, self._cells)))

    @on(InsideRequested)
    def _show_inside(self, event: InsideRequested) -> None:
        from alexplore.tui.picture_lines import drawer
        from alexplore.tui.screens.inside import InsideScreen

        self.push_screen(InsideScreen(event.watched, drawer(self.pictures, self._cells)))

    @on(EvaluateRequested)
    def _evaluation_requested(self, event: EvaluateRequested) -> None:
        if event.run in self._evaluating:
            self.notify(f"{event.run.name} is being evaluated already", severity="warning")
        elif self._has_weights(event.run):
            self.notify(f"evaluating {event.run.name} …")
            self._evaluating.add(event.run)
            self._evaluate(event.run, self.screen)

    def _has_weights(self, run: RunDirectory) -> bool:
        """Return whether the network of a run can be asked; show why not."""
        try:
            run.check_weights()
        except ACTIONABLE as error:
            self.notify(error_text(error), severity="warning")
            return False
        return True

    @work(thread=True, group="evaluate")
    def _evaluate(self, run: RunDirectory, asked_on: Screen[Any]) -> None:
        from alexplore.runs.evaluation import evaluate_run

        try:
            evaluation = evaluate_run(run)
        except AlexploreError as error:
            self.notify(str(error), title=f"{run.name} can't be evaluated", severity="error")
        else:
            self.call_from_thread(self._show_evaluation, run, evaluation, asked_on)
        finally:
            self._evaluating.discard(run)

    def _show_evaluation(self, run: RunDirectory, evaluation: Evaluation, asked_on: Screen[Any]) -> None:
        """Open the report of an evaluation, unless the user has changed to another screen."""
        from alexplore.tui.screens.report import evaluated

        if self.screen is asked_on:
            self.push_screen(evaluated(run.name, evaluation))
        self.notify(f"{run.name}: {evaluation.text}")

    @on(ChoiceRequested)
    @work
    async def _choose(self, event: ChoiceRequested) -> None:
        from alexplore.tui.screens.dialogs import Choose
        from alexplore.tui.widgets.choice_list import Choice

        choices = [Choice(name) for name in event.names]
        chosen = await self.push_screen_wait(Choose(event.title, choices, event.selected))
        if chosen is not None:
            event.answer(chosen)

    @on(OpenRequested)
    @work
    async def _open(self, event: OpenRequested) -> None:
        if await self.explore.open_preset(event.preset):
            self.action_mode("explore")

    @on(FormRequested)
    @work
    async def _show_form(self, event: FormRequested) -> None:
        config = event.config
        if await self.explore.open_preset(config.as_preset(event.title)):
            self.state.planned.fill_in(config, event.reason)
            self.state.open_form(planned_from="runs")
            self.action_mode("train")

    # Help and palette

    def action_help(self) -> None:
        """List every key that works on the focused pane, and the words of the app."""
        from alexplore.tui.keys import active_keys, pane_title
        from alexplore.tui.screens.help import HelpScreen

        screen = self.screen
        mode = MODES[screen.MODE] if isinstance(screen, FrameScreen) and screen.MODE else ""
        titles = dict.fromkeys(title for title in (mode, pane_title(screen.focused)) if title)
        self.push_screen(HelpScreen(" · ".join(titles), active_keys(screen)))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the commands of Textual that the palette offers in addition to the app's own."""
        offered = super().get_system_commands(screen)
        return (command for command in offered if command.title in TEXTUAL_COMMANDS)

    def action_command_palette(self) -> None:
        """Open the palette, or go back to it from its help; close the welcome card if that is open."""
        from alexplore.tui.commands import Palette
        from alexplore.tui.screens.help import HelpScreen
        from alexplore.tui.screens.welcome import Welcome

        if isinstance(self.screen, Welcome) or (
            isinstance(self.screen, HelpScreen) and isinstance(self.screen_stack[-2], Palette)
        ):
            self.screen.dismiss(None)
        elif not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_change_theme(self) -> None:
        """Choose a theme; every screen shows the one under the cursor."""
        self._choose_theme()

    @work
    async def _choose_theme(self) -> None:
        from alexplore.tui.screens.themes import ThemeScreen

        chosen = await self.push_screen_wait(ThemeScreen(self._usable_themes()))
        if chosen is not None:
            self.prefer(theme=chosen)

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Save a picture of the screen in the current folder, beside what is exported, and show where."""
        try:
            saved = Path(self.save_screenshot(filename, path, time_format)).resolve()
        except OSError as error:
            self.notify(f"not saved: {error.filename}: {error.strerror}", severity="error")
            return None
        self.notify(f"saved {saved}")
        return str(saved)

    # The welcome card, the tour and the lessons

    @cached_property
    def guides(self) -> Guides:
        """The welcome card, the tour and the lessons."""
        from alexplore.tui.guides import Guides

        return Guides(self, self.state, self.opener)

    @cached_property
    def opener(self) -> Opener:
        """What opens presets from the palette, the tour and the lessons."""
        from alexplore.tui.opening import Opener

        return Opener(self, self.state)

    def _greet(self) -> None:
        """Show the welcome card if there are no runs."""
        from alexplore.runs.directory import RunError, list_runs

        with suppress(RunError):
            if not list_runs(self.state.runs_folder):
                self.action_welcome()

    @work
    async def action_welcome(self) -> None:
        """Show the welcome card."""
        shown_again = await self.guides.welcome(shown_again=self.preferences.values.welcome)
        self.prefer(welcome=shown_again)

    @work
    async def action_tour(self) -> None:
        """Start the tour."""
        await self.guides.start_tour()

    @work
    async def action_lesson(self, name: str) -> None:
        """Open a lesson beside the network."""
        await self.guides.open_lesson(name)

    @work
    async def action_open_preset(self, name: str) -> None:
        """Open a preset in Explore."""
        await self.opener.open_named(name)

    @work
    async def action_train_preset(self, name: str, epochs: int | None = None) -> None:
        """Open the form that trains a preset."""
        await self.opener.open_named(name, train=True, epochs=epochs)

    @work(exclusive=True, group="import")
    async def action_import_model(self, text: str | None = None) -> None:
        """Import a model from its source, asking for one if there is none, and open it in Explore."""
        await self.opener.import_model(text)

    async def action_compare_with(self, name: str) -> None:
        """Put a preset beside the network in Explore."""
        await self.opener.compare(self.state.session.preset, name)

    @on(TourActionRequested)
    @work
    async def _tour_action(self, event: TourActionRequested) -> None:
        await self.guides.perform(event.action)

    @on(LessonLeft)
    async def _lesson_left(self) -> None:
        await self.guides.leave_lesson()

    @on(LessonPointed)
    def _lesson_pointed(self, event: LessonPointed) -> None:
        self.guides.point_at(event.layer)

    # Leaving

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Close the app, after removing pictures: terminals differ in what they do with them.

        Commands that still run are ended: Python waits for the threads that read their output.
        """
        from alexplore.runs.commands import end_commands

        end_commands()
        self._remove_pictures()
        super().exit(result, return_code, message)

    def on_load(self) -> None:
        """Exit cleanly on SIGTERM and SIGINT, from before the terminal is changed until it is restored.

        SIGHUP keeps its default: then the terminal is gone, and writing to it would block.
        """
        with suppress(ValueError, RuntimeError, NotImplementedError):  # not the main thread
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._leave_on_signal, number)

    def _check_terminal(self) -> None:
        if sys.__stdin__ is not None and is_hung_up(sys.__stdin__.fileno()):
            end_by_hang_up()

    def _leave_on_signal(self, number: signal.Signals) -> None:
        """Close the app once its screens are mounted: earlier they would not find their widgets."""
        if self.screen_stack and all(screen.is_mounted for screen in self.screen_stack):
            self.exit(return_code=SIGNALLED + number)
        else:
            asyncio.get_running_loop().call_later(MOUNT_SECONDS, self._leave_on_signal, number)

    async def action_quit(self) -> None:
        """Close the app; ask first if edits would be lost, unless that is being asked already."""
        if self.state.session.unsaved and self._leave_question not in self.screen_stack:
            self._ask_to_leave()
        else:
            self._leave()

    @work
    async def _ask_to_leave(self) -> None:
        from alexplore.tui.screens.dialogs import Confirm

        name = self.state.session.preset.name
        self._leave_question = Confirm(f"Close alexplore? The edits of {name} are not saved (n, then s, saves them).")
        if await self.push_screen_wait(self._leave_question):
            self._leave()

    def _leave(self) -> None:
        """Close the app, with a message about the runs that are still live."""
        from alexplore.tui.exit_message import exit_message

        self.exit_message = exit_message(self.state.runs_folder)
        self.exit()
