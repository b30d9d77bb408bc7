"""The command replay."""

from __future__ import annotations

from typing import Annotated

import typer

from alexplore.cli.options import RunsDir
from alexplore.cli.tui import require_terminal, show_app
from alexplore.core.errors import WrongUseError
from alexplore.runs.directory import find_run, runs_folder
from alexplore.runs.replay import Replay

SLOWEST, FASTEST = 0.1, 1e6


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that has ended: its name, `last`, or a path.")],
    speed: Annotated[float, typer.Option(metavar="X", help="How many times as fast as it was trained.")] = 60.0,
    runs_dir: RunsDir = None,
) -> None:
    """Replay a run in the app, as it was trained. The run itself is only read."""
    if not SLOWEST <= speed <= FASTEST:
        raise WrongUseError(f"--speed {speed:g}: allowed: a number from {SLOWEST:g} to {FASTEST:,.0f}")
    found = find_run(run, runs_folder(runs_dir))
    require_terminal()
    with Replay(found, speed) as playing:
        show_app(None, playing.copy.path.parent, playing.copy, exit_message=False)
