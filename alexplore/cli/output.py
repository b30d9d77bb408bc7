"""Where output goes: data to stdout, narration and complaints to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

DONE, FAILED, WRONG_USE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130

PLAIN_WIDTH = 200  # of a table that goes to a file or a pipe, where nothing says how wide a line may be


def complain(message: str) -> None:
    """One message about what went wrong."""
    typer.secho(f"error: {message}", fg="red", err=True)


def narrate(message: str) -> None:
    """What is going on, for the person waiting."""
    typer.echo(message, err=True)


def console() -> Console:
    """For tables on stdout: as wide as the terminal, or as the table where there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, markup=False, emoji=False, highlight=False)
