"""The commands of the palette: what the keys do, lessons, presets to open and train, runs to watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from alexplore.tui.keys import MOVES, active_keys

if TYPE_CHECKING:
    from alexplore.tui.app import ExploreApp

UNLISTED = {"command_palette", *MOVES}
"""Actions that nobody looks for by name: the palette itself, and moving a cursor."""

MOST_RUNS = 20  # the newest ones, that are offered to watch


class Command(NamedTuple):
    """A line of the palette; `key` is what does the same, "" for none."""

    title: str
    key: str
    doc: str
    run: Callable[[], Any]

    @property
    def label(self) -> Content:
        """The title with its key."""
        return Content.assemble(self.title, "  ", (self.key, "not bold dim"))


def commands(app: ExploreApp) -> Iterator[Command]:
    """Yield every command, those of the keys first."""
    screen = next(screen for screen in reversed(app.screen_stack) if not screen.is_modal)
    keyed = set()
    for key in active_keys(screen):
        if key.binding.tooltip and key.binding.action not in UNLISTED:
            keyed.add(key.name)
            run = partial(app.run_action, key.binding.action, key.node)
            yield Command(key.name, key.keys, key.doc, run)
    for command in app.get_system_commands(screen):
        if command.title not in keyed:
            yield Command(command.title, "", command.help, command.callback)
    yield from _guides(app)
    yield from _presets(app)
    yield from _runs(app)


def _guides(app: ExploreApp) -> Iterator[Command]:
    from alexplore.core.errors import AlexploreError
    from alexplore.lessons.library import shipped_lessons

    yield Command("Tour", "", "What you see, in six steps", app.action_tour)
    yield Command("Welcome", "", "The card for those who have no runs yet", app.action_welcome)
    try:
        lessons = shipped_lessons()
    except AlexploreError:
        return
    for lesson in lessons:
        yield Command(f"Lesson: {lesson.title}", "", lesson.summary, partial(app.action_lesson, lesson.name))


def _presets(app: ExploreApp) -> Iterator[Command]:
    from alexplore.presets.library import shipped_names, user_paths
    from alexplore.presets.preset import PresetError

    try:
        own = [path.stem for path in user_paths()]
    except PresetError:
        own = []
    names = [*shipped_names(), *(name for name in own if name not in shipped_names())]
    for name in names:
        yield Command(f"Open {name}", "", "Show its layers in Explore", partial(app.action_open_preset, name))
    for name in names:
        yield Command(f"Train {name}", "", "Open its form", partial(app.action_train_preset, name))


def _runs(app: ExploreApp) -> Iterator[Command]:
    from alexplore.runs.directory import RunError, list_runs

    try:
        runs = list_runs(app.state.runs_folder)
    except RunError:
        return
    for run in runs[:MOST_RUNS]:
        yield Command(f"Watch {run.name}", "", "Its curves and its log, in Train", partial(app.watch_run, run))


class Palette(CommandPalette):
    """Textual's palette, which fails if its list is paged through while a tiny terminal leaves it no line."""

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)


class AppCommands(Provider):
    """Finds the commands of the app for Textual's palette."""

    @property
    def _commands(self) -> Iterator[Command]:
        app: Any = self.app
        return commands(app)

    async def discover(self) -> Hits:
        """Yield all commands before anything is typed."""
        for command in self._commands:
            yield DiscoveryHit(command.label, command.run, text=command.title, help=command.doc)

    async def search(self, query: str) -> Hits:
        """Yield the commands that match what is typed."""
        matcher = self.matcher(query)
        for command in self._commands:
            if (score := matcher.match(command.title)) > 0:
                label = Content.assemble(matcher.highlight(command.title), "  ", (command.key, "not bold dim"))
                yield Hit(score, label, command.run, text=command.title, help=command.doc)
