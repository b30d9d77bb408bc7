"""The command tui, and how every command opens the app."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from alexplore.cli.options import OptionalPresetOption, RunsDir
from alexplore.cli.output import narrate, on_a_terminal, say
from alexplore.core.errors import DONE, AlexploreError, WrongUseError
from alexplore.presets.library import load_preset
from alexplore.presets.sources import open_preset

if TYPE_CHECKING:
    from alexplore.runs.directory import RunDirectory
    from alexplore.runs.foreign import ForeignLog
    from alexplore.tui.terminal_pictures import TerminalPictures

STDOUT = 1


def tui(
    preset: OptionalPresetOption = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Open this run, or a folder with another program's log.")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Open the app: explore and edit networks, train them, watch runs."""
    require_terminal()
    from alexplore.runs.directory import find_foreign_log, find_run, runs_folder

    folder = runs_folder(runs_dir)
    log = find_foreign_log(run, folder) if run else None
    show_app(preset, folder, find_run(run, folder) if run and not log else None, log=log)


def require_terminal() -> None:
    """Check that the app can be opened.

    Raises:
        WrongUseError: there is no terminal, or one that can't place characters.
    """
    if on_a_terminal() and (name := os.environ.get("TERM", "")).lower() in ("dumb", "unknown"):
        raise WrongUseError(
            f"the app can't draw on this terminal (TERM={name}); if it is a usual one: TERM=xterm-256color alexplore"
        )
    if not on_a_terminal():
        raise WrongUseError(
            "the app needs a terminal for stdin, stdout and stderr. Without one: `alexplore shapes --preset paper`, "
            "`alexplore train --preset fmnist-28`, `alexplore runs list`, `alexplore runs watch RUN`"
        )


def show_app(
    preset: str | None,
    folder: Path,
    attached: RunDirectory | None,
    *,
    exit_message: bool = True,
    log: ForeignLog | None = None,
) -> NoReturn:
    """Open the app with a preset, by default the preferred one, and with the run `attached` or a `log`, if any.

    If the preferred one can't be opened, the app says why, with the preset that is preferred by default.

    With `exit_message` the runs that are still live are printed after the app was closed.

    Raises:
        typer.Exit: the app was closed.
    """
    from alexplore.tui.preferences import DEFAULT, PreferencesStore, preferences_file

    preferences = PreferencesStore(preferences_file())
    problem = ""
    try:
        opened = open_preset(preset or preferences.values.preset, narrate)
    except AlexploreError as error:
        if preset:
            raise
        opened, problem = load_preset(DEFAULT.preset), f"preset: {error}"
    from alexplore.tui.app import ExploreApp

    _settle_terminal_size()
    app = ExploreApp(
        opened,
        folder,
        attached,
        preferences,
        welcome=preset is None and attached is None and log is None,
        log=log,
        problem=problem,
        pictures=_pictures() if preferences.values.pixels else None,
    )
    app.run()
    if app.exit_message and exit_message:
        say(app.exit_message)
    raise typer.Exit(app.return_code or DONE)


def _settle_terminal_size() -> None:
    """Ignore an exported size, which may be out of date; use it, or 80×24, only if the terminal has none.

    Serial consoles, and terminals that no emulator has set up yet, have 0 rows. Textual and Rich would assume different
    sizes, and the layouts for both would alternate without end.
    """
    import termios

    exported = {name: os.environ.pop(name, "") for name in ("LINES", "COLUMNS")}
    if 0 in termios.tcgetwinsize(STDOUT):
        rows, columns = (int(value) if value.isdecimal() else 0 for value in exported.values())
        termios.tcsetwinsize(STDOUT, (rows or 24, columns or 80))


def _pictures() -> TerminalPictures:
    """Return the pictures in pixels of the app, if the terminal draws any."""
    from alexplore.render.terminal_pixels import ask_terminal, cell_size
    from alexplore.tui.terminal_pictures import TerminalPictures

    return TerminalPictures(ask_terminal(), cell_size)
