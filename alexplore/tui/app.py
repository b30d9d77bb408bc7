"""The app: three modes, and what every one of them has."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.events import ScreenResume
from textual.screen import Screen

from alexplore.presets.preset import Preset
from alexplore.tui.edit_session import Workspace
from alexplore.tui.screens.explore import ExploreScreen

if TYPE_CHECKING:
    from alexplore.runs.directory import RunDirectory
HERE = Path(__file__).parent
WIDE, HIGH = 110, 30  # columns and lines from which there is room for more


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
        super().__init__()
        self.workspace = Workspace(preset)
        self.runs_folder = runs_folder
        self.attached = attached
        self.planning = False  # another run: Train shows its form though a run is attached
        self.farewell = ""
        self._leaving = False

    def on_ready(self) -> None:
        """What the app is made of stays: the garbage collector need not look through it between keystrokes."""
        gc.freeze()

    def on_mount(self) -> None:
        """Go to the run that was asked for."""
        if self.attached:
            self.action_mode("train")

    # The modes are screens: Explore lies below, Train or Runs upon it. Textual's own modes would read every style twice
    # before the first screen.

    def get_default_screen(self) -> Screen[None]:
        """Explore, which the app opens with."""
        width, height = self.size  # Textual sets the classes of a size itself, but after it has laid the screen out
        classes = f"{'-wide' if width >= WIDE else '-narrow'} {'-high' if height >= HIGH else '-low'}"
        return ExploreScreen(self.workspace, classes)

    @property
    def explore(self) -> ExploreScreen:
        """What lies below Train and Runs."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ExploreScreen)
        return screen

    def _open(self, mode: str) -> Screen[None]:
        if mode == "train":
            from alexplore.tui.screens.train import TrainScreen

            return TrainScreen(self.workspace)
        from alexplore.tui.screens.runs import RunsScreen

        return RunsScreen()

    def action_mode(self, mode: str) -> None:
        """Go to Explore, Train or Runs; each stays as it was left."""
        if mode == "explore":
            while len(self.screen_stack) > 1:
                self.pop_screen()
            return
        if not self.is_screen_installed(mode):
            self.install_screen(self._open(mode), mode)
        if len(self.screen_stack) > 1:
            self.switch_screen(mode)
        else:
            self.push_screen(mode)

    def attach(self, run: RunDirectory) -> None:
        """Watch a run in Train."""
        self.attached, self.planning = run, False
        if self.is_screen_installed("train") and self.screen is self.get_screen("train"):
            self.screen.post_message(ScreenResume())
        else:
            self.action_mode("train")

    def action_help(self) -> None:
        """List every key that works here."""
        from alexplore.tui.screens.dialogs import HelpScreen

        rows = [(keys, binding.description, binding.tooltip) for keys, binding, _ in self._actions()]
        palette = [("^p", command.title, command.help) for command in self._textual_commands(self.screen)]
        self.push_screen(HelpScreen([*rows, *palette]))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: what the keys do, then what Textual offers itself."""
        for keys, binding, node in self._actions():
            run = partial(self.run_action, binding.action, node)
            yield SystemCommand(binding.description, f"{binding.tooltip} ({keys})", run)
        yield from self._textual_commands(screen)

    def _textual_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        offered = super().get_system_commands(screen)
        return (command for command in offered if command.title in ("Theme", "Screenshot", "Maximize", "Minimize"))

    def _actions(self) -> list[tuple[str, Binding, DOMNode]]:
        """The keys, what they do and where, of everything that can be done now: what help and palette list."""
        screen = next(screen for screen in reversed(self.screen_stack) if not screen.is_modal)
        found: dict[str, tuple[list[str], Binding, DOMNode]] = {}
        for node, binding, enabled, tooltip in screen.active_bindings.values():
            if enabled and tooltip and binding.action != "command_palette":
                keys, *_ = found.setdefault(binding.action, ([], binding, node))
                keys.append(self.get_key_display(binding))
        order: list[DOMNode] = [screen, *(node for _, _, node in found.values() if node is not self), self]
        actions = sorted(found.values(), key=lambda action: order.index(action[2]))
        return [(" ".join(keys), binding, node) for keys, binding, node in actions]

    async def action_quit(self) -> None:
        """Close the app, after a yes where edits would be lost; a second time without."""
        if self.workspace.would_be_lost and not self._leaving:
            self._ask_to_leave()
        else:
            self._leave()

    @work
    async def _ask_to_leave(self) -> None:
        from alexplore.tui.screens.dialogs import Confirm

        self._leaving = True
        question = f"Close alexplore? The edits of {self.workspace.preset.name} are not saved (n, then s, saves them)."
        if await self.push_screen_wait(Confirm(question)):
            self._leave()
        self._leaving = False

    def _leave(self) -> None:
        """Workers go on, and the command line says how to come back to them."""
        from alexplore.runs.directory import list_runs
        from alexplore.runs.status import read_status

        live = [run.name for run in list_runs(self.runs_folder) if read_status(run).live]
        if live:
            self.farewell = "still training: " + ", ".join(live) + f"\nwatch with: alexplore runs watch {live[0]}"
        self.exit()
