"""The app: three modes (Explore, Train, Runs), what works in each of them, and the requests that screens post."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.events import ScreenResume
from textual.screen import Screen

from alexplore.presets.preset import Preset
from alexplore.tui.messages import ModeRequested, OpenRequested, PlanRequested, WatchRequested
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.state import AppState, Mode

if TYPE_CHECKING:
    from alexplore.runs.directory import RunDirectory

HERE = Path(__file__).parent
WIDE, HIGH = 110, 30  # columns and lines from which there is room for more
TEXTUAL_COMMANDS = ("Theme", "Screenshot", "Maximize", "Minimize")  # of Textual's own commands, those that we offer


class ExploreApp(App[None]):
    """Explore, Train and Runs over one network and one folder of runs."""

    TITLE = "alexplore"
    CSS_PATH: ClassVar[list[str | PurePath]] = [HERE / "app.tcss", HERE / "screens" / "explore.tcss"]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 (Textual declares them)
    VERTICAL_BREAKPOINTS = [(0, "-low"), (HIGH, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "mode('explore')", "Explore", show=False, tooltip="Networks, layers and their arithmetic"),
        Binding("2", "mode('train')", "Train", show=False, tooltip="Start a training and watch it"),
        Binding("3", "mode('runs')", "Runs", show=False, tooltip="Every run: attach, stop, resume"),
        Binding("question_mark,f1", "help", "Help", tooltip="Every key that works here"),
        Binding("q", "quit", "Quit", show=False, tooltip="Close the app; training goes on"),
        Binding("ctrl+q,ctrl+c", "quit", "Quit", show=False, priority=True, tooltip="Close the app; training goes on"),
    ]

    def __init__(self, preset: Preset, runs_folder: Path, attached: RunDirectory | None = None) -> None:
        """Open a preset, and watch the run `attached` if one is given."""
        super().__init__()
        self.state = AppState(preset, runs_folder)
        if attached is not None:
            self.state.watch(attached)
        self.farewell = ""
        self._asking_to_leave = False

    def on_ready(self) -> None:
        """Keep the garbage collector from scanning what the app is made of between keystrokes."""
        gc.freeze()

    def on_mount(self) -> None:
        """Show the run that was asked for. A signal that ends the app leaves the terminal as it was."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, partial(self.exit, return_code=128 + number))
        if self.state.watched:
            self.action_mode("train")

    # The modes are screens: Explore lies below, Train or Runs on top of it. Textual's own modes would read every style
    # twice before the first screen.

    def get_default_screen(self) -> Screen[None]:
        """Return Explore, which the app opens with."""
        width, height = self.size  # Textual sets the classes of a size itself, but only after the first layout
        classes = f"{'-wide' if width >= WIDE else '-narrow'} {'-high' if height >= HIGH else '-low'}"
        return ExploreScreen(self.state.session, classes)

    @property
    def explore(self) -> ExploreScreen:
        """The screen below Train and Runs."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ExploreScreen)
        return screen

    def _new_screen(self, mode: Mode) -> Screen[None]:
        if mode == "train":
            from alexplore.tui.screens.train import TrainScreen

            return TrainScreen(self.state)
        from alexplore.tui.screens.runs import RunsScreen

        return RunsScreen(self.state)

    def action_mode(self, mode: Mode) -> None:
        """Show Explore, Train or Runs; each is as it was left."""
        if mode == "explore":
            while len(self.screen_stack) > 1:
                self.pop_screen()
            return
        if not self.is_screen_installed(mode):
            self.install_screen(self._new_screen(mode), mode)
        if len(self.screen_stack) > 1:
            self.switch_screen(mode)
        else:
            self.push_screen(mode)

    # Requests of the screens

    @on(ModeRequested)
    def _show_mode(self, event: ModeRequested) -> None:
        self.action_mode(event.mode)

    @on(PlanRequested)
    def _plan(self) -> None:
        self.state.open_form(planned_from="explore")
        self._show_train()

    @on(WatchRequested)
    def _watch_requested(self, event: WatchRequested) -> None:
        self.watch_run(event.run)

    def watch_run(self, run: RunDirectory) -> None:
        """Watch a run in Train."""
        self.state.watch(run)
        self._show_train()

    def _show_train(self) -> None:
        if self.is_screen_installed("train") and self.screen is self.get_screen("train"):
            self.screen.post_message(ScreenResume())
        else:
            self.action_mode("train")

    @on(OpenRequested)
    @work
    async def _open(self, event: OpenRequested) -> None:
        if await self.explore.open_preset(event.preset):
            self.action_mode("explore")

    # Help and palette

    def action_help(self) -> None:
        """List every key that works here."""
        from alexplore.tui.screens.dialogs import HelpScreen

        rows = [(keys, binding.description, binding.tooltip) for keys, binding, _ in self._actions()]
        palette = [("^p", command.title, command.help) for command in self._textual_commands(self.screen)]
        self.push_screen(HelpScreen([*rows, *palette]))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the commands of the palette: what the keys do, then what Textual offers itself."""
        for keys, binding, node in self._actions():
            run = partial(self.run_action, binding.action, node)
            yield SystemCommand(binding.description, f"{binding.tooltip} ({keys})", run)
        yield from self._textual_commands(screen)

    def _textual_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        offered = super().get_system_commands(screen)
        return (command for command in offered if command.title in TEXTUAL_COMMANDS)

    def _actions(self) -> list[tuple[str, Binding, DOMNode]]:
        """Return the keys, the bindings and their nodes of everything that can be done now."""
        screen = next(screen for screen in reversed(self.screen_stack) if not screen.is_modal)
        found: dict[str, tuple[list[str], Binding, DOMNode]] = {}
        for node, binding, enabled, tooltip in screen.active_bindings.values():
            if enabled and tooltip and binding.action != "command_palette":
                keys, *_ = found.setdefault(binding.action, ([], binding, node))
                keys.append(self.get_key_display(binding))
        order: list[DOMNode] = [screen, *(node for _, _, node in found.values() if node is not self), self]
        actions = sorted(found.values(), key=lambda action: order.index(action[2]))
        return [(" ".join(keys), binding, node) for keys, binding, node in actions]

    # Leaving

    async def action_quit(self) -> None:
        """Close the app, after asking where edits would be lost; a second time without asking."""
        if self.state.session.unsaved and not self._asking_to_leave:
            self._ask_to_leave()
        else:
            self._leave()

    @work
    async def _ask_to_leave(self) -> None:
        from alexplore.tui.screens.dialogs import Confirm

        self._asking_to_leave = True
        name = self.state.session.preset.name
        question = f"Close alexplore? The edits of {name} are not saved (n, then s, saves them)."
        if await self.push_screen_wait(Confirm(question)):
            self._leave()
        self._asking_to_leave = False

    def _leave(self) -> None:
        """Close the app, with a message about the runs that go on."""
        from alexplore.runs.directory import list_runs
        from alexplore.runs.status import read_status

        live = [run for run in list_runs(self.state.runs_folder) if read_status(run).live]
        if live:
            names = ", ".join(run.name for run in live)
            self.farewell = f"still training: {names}\nwatch with: {live[0].command('watch')}"
        self.exit()
