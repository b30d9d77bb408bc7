"""The app: three modes, and what every one of them has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import ScreenResume
from textual.screen import Screen

from alexplore.network.presets import Preset
from alexplore.runs.directory import RunDirectory
from alexplore.tui.screens.dialogs import HelpScreen
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.workspace import Workspace

MODES = ("explore", "train", "runs")


class ExploreApp(App[None]):
    """Explore, Train and Runs over one network and one folder of runs."""

    TITLE = "alexplore"
    DEFAULT_MODE = "explore"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 (Textual declares them)
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "mode('explore')", "Explore", show=False, tooltip="Networks, layers and their arithmetic"),
        Binding("2", "mode('train')", "Train", show=False, tooltip="Start a training and watch it"),
        Binding("3", "mode('runs')", "Runs", show=False, tooltip="Every run: attach, stop, resume"),
        Binding("question_mark", "help", "Help", tooltip="Every key that works here"),
        Binding("q", "quit", "Quit", show=False, tooltip="Close the app; training goes on"),
        Binding("ctrl+q,ctrl+c", "quit", "Quit", show=False, priority=True, tooltip="Close the app; training goes on"),
    ]

    def __init__(self, preset: Preset, runs_folder: Path, attached: RunDirectory | None = None) -> None:
        super().__init__()
        self.workspace = Workspace(preset)
        self.runs_folder = runs_folder
        self.attached = attached
        self.farewell = ""
        for mode in MODES:
            self.add_mode(mode, partial(self._open, mode))

    def on_mount(self) -> None:
        """Go to the run that was asked for."""
        if self.attached:
            self.switch_mode("train")

    def _open(self, mode: str) -> Screen[None]:
        if mode == "train":
            from alexplore.tui.screens.train import TrainScreen

            return TrainScreen(self.workspace)
        if mode == "runs":
            from alexplore.tui.screens.runs import RunsScreen

            return RunsScreen()
        return ExploreScreen(self.workspace)

    def action_mode(self, mode: str) -> None:
        """Go to Explore, Train or Runs."""
        self.switch_mode(mode)

    def attach(self, run: RunDirectory) -> None:
        """Watch a run in Train."""
        self.attached = run
        if self.current_mode == "train":
            self.screen.post_message(ScreenResume())
        else:
            self.switch_mode("train")

    def action_help(self) -> None:
        """List every key that works here."""
        self.push_screen(HelpScreen([(key, description, tooltip) for key, description, tooltip, _ in self._actions()]))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: what the keys do, then what Textual offers itself."""
        for key, description, tooltip, action in self._actions():
            yield SystemCommand(description, f"{tooltip} ({key})", partial(self._run, action))
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Screenshot", "Maximize", "Minimize"):
                yield command

    async def _run(self, action: str) -> None:
        await self.run_action(action, self.screen if hasattr(self.screen, _method(action)) else self)

    def _actions(self) -> list[tuple[str, str, str, str]]:
        """Key, name, explanation and action of everything that can be done here: what help and palette list."""
        actions = []
        seen = set()
        screen = next(screen for screen in reversed(self.screen_stack) if not screen.is_modal)
        for bindings in (screen.BINDINGS, self.BINDINGS):
            for binding in bindings:
                if isinstance(binding, Binding) and binding.tooltip and binding.action not in seen:
                    seen.add(binding.action)
                    keys = " ".join(self.get_key_display(one) for one in Binding.make_bindings([binding]))
                    actions.append((keys, binding.description, binding.tooltip, binding.action))
        return actions

    async def action_quit(self) -> None:
        """Close the app; workers go on, and the command line says how to come back to them."""
        from alexplore.runs.directory import list_runs
        from alexplore.runs.status import read_status

        live = [run.name for run in list_runs(self.runs_folder) if read_status(run).live]
        if live:
            self.farewell = "still training: " + ", ".join(live) + f"\nwatch with: alexplore runs watch {live[0]}"
        self.exit()


def _method(action: str) -> str:
    return "action_" + action.split("(", maxsplit=1)[0]
