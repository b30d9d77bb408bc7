"""The commands of the palette: the actions of keys, lessons, presets to open and train, runs to watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from alexplore.tui.keys import MOVES, active_keys
from alexplore.tui.messages import WatchRequested
from alexplore.tui.named_keys import TYPING, NamedKeys

if TYPE_CHECKING:
    from alexplore.runs.directory import RunDirectory

UNLISTED = {"command_palette", *MOVES}
"""Actions that the palette does not list: the palette itself, and moving a cursor."""

MOST_RUNS = 20  # the newest runs, which can be watched


IMPORTED = "net.py:Net, torchvision:resnet18, a .pt2 or .onnx file; its code is run"


class Command(NamedTuple):
    """A line of the palette; `key` is the key with the same action, "" for none."""

    title: str
    key: str
    doc: str
    run: Callable[[], Any]

    @property
    def label(self) -> Content:
        """The title with its key."""
        return Content.assemble(self.title, "  ", (self.key, "not bold dim"))


def commands(app: App[Any], runs: Sequence[RunDirectory]) -> Iterator[Command]:
    """Yield every command, those of the keys first, and those that watch some runs last."""
    screen = next(screen for screen in reversed(app.screen_stack) if not screen.is_modal)
    keyed = set()
    for key in active_keys(screen):
        action = key.binding.action
        if key.binding.tooltip and action not in UNLISTED and not action.startswith(TYPING):
            keyed.add(key.name)
            run = partial(app.run_action, action, key.node)
            yield Command(key.name, key.keys, key.doc, run)
    for command in app.get_system_commands(screen):
        if command.title not in keyed:
            yield Command(command.title, "", command.help, command.callback)
    yield from _guides(app)
    yield Command(
        "Preferences", "", "The file of theme, keys and notifications", partial(app.run_action, "preferences")
    )
    yield Command("Import a model", "", IMPORTED, partial(app.run_action, "import_model"))
    yield from _presets(app)
    for one in runs:
        watch = partial(app.post_message, WatchRequested(one))
        yield Command(f"Watch {one.name}", "", "Its curves and its log, in Train", watch)


def import_command(app: Any, typed: str) -> Command | None:
    """Return the command that imports the model whose source was typed; None if the text is not a source."""
    from alexplore.presets.sources import is_source
    from alexplore.tui.importing import read_request

    if not is_source(read_request(typed).source):
        return None
    text = typed.strip()
    return Command(
        f"Import {text}", "", "Show its layers in Explore; its code is run", partial(app.action_import_model, text)
    )


def _guides(app: App[Any]) -> Iterator[Command]:
    from alexplore.core.errors import AlexploreError
    from alexplore.lessons.library import shipped_lessons

    yield Command("Tour", "", "What you see, in six steps", partial(app.run_action, "tour"))
    yield Command("Welcome", "", "The card for those who have no runs yet", partial(app.run_action, "welcome"))
    try:
        lessons = shipped_lessons()
    except AlexploreError:
        return
    for lesson in lessons:
        run = partial(app.run_action, f"lesson({lesson.name!r})")
        yield Command(f"Lesson: {lesson.title}", "", lesson.summary, run)


def _presets(app: App[Any]) -> Iterator[Command]:
    from alexplore.presets.library import shipped_names, user_paths
    from alexplore.presets.preset import PresetError

    try:
        own = [path.stem for path in user_paths()]
    except PresetError:
        own = []
    names = [*shipped_names(), *(name for name in own if name not in shipped_names())]
    for name in names:
        run = partial(app.run_action, f"open_preset({name!r})")
        yield Command(f"Open {name}", "", "Show its layers in Explore", run)
    for name in names:
        run = partial(app.run_action, f"train_preset({name!r})")
        yield Command(f"Train {name}", "", "Open its form", run)


def newest_runs(folder: Path) -> Sequence[RunDirectory]:
    """Return the runs of a folder that the palette lists; none if it can't be read."""
    from alexplore.runs.directory import RunError, list_runs

    try:
        return list_runs(folder)[:MOST_RUNS]
    except RunError:
        return []


class Palette(NamedKeys, CommandPalette):
    """Textual's palette, which fails if its list is paged through while a tiny terminal leaves it no line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "cursor_down", "down", show=False, tooltip="Go to the command after"),
        Binding("up", "command_list('cursor_up')", "up", show=False, tooltip="Go to the command before"),
        Binding("pagedown", "command_list('page_down')", "page down", show=False, tooltip="Go down by a screenful"),
        Binding("pageup", "command_list('page_up')", "page up", show=False, tooltip="Go up by a screenful"),
        Binding("ctrl+end,shift+end", "command_list('last')", "last", show=False, tooltip="Go to the last one"),
        Binding(
            "ctrl+home,shift+home", "command_list('first')", "first", show=False, tooltip="Go to the first command"
        ),
        Binding("escape", "escape", "close", show=False, tooltip="Close the palette"),
        Binding("f1", "app.help", "help", show=False, tooltip="Every key that works here, and the words of the app"),
    ]

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)


class AppCommands(Provider):
    """Finds the commands of the app for Textual's palette."""

    _commands: Sequence[Command] = ()

    async def startup(self) -> None:
        """List the commands once: thousands of runs, or a slow file system, would delay each key."""
        app: Any = self.app
        runs = await asyncio.to_thread(newest_runs, app.state.runs_folder)
        self._commands = list(commands(app, runs))

    async def discover(self) -> Hits:
        """Yield all commands before anything is typed."""
        for command in self._commands:
            yield DiscoveryHit(command.label, command.run, text=command.title, help=command.doc)

    async def search(self, query: str) -> Hits:
        """Yield the commands that match what is typed."""
        matcher = self.matcher(query)
        if found := import_command(self.app, query):
            yield Hit(1, found.title, found.run, text=found.title, help=found.doc)
        for command in self._commands:
            if (score := matcher.match(command.title)) > 0:
                label = Content.assemble(matcher.highlight(command.title), "  ", (command.key, "not bold dim"))
                yield Hit(score, label, command.run, text=command.title, help=command.doc)
