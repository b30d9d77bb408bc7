"""Where output goes: data to stdout, narration and complaints to stderr."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

import typer

from alexplore.core.errors import WRONG_USE

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

UNBOUNDED = 10**6  # characters of a line in a file or a pipe, where nothing says how wide it may be: all fits


def complain(message: str) -> None:
    """Print one message about what went wrong to stderr."""
    typer.secho(f"error: {message}", fg="red", err=True)


def narrate(message: str) -> None:
    """Print what is going on to stderr."""
    typer.echo(message, err=True)


def on_a_terminal() -> bool:
    """Return whether the app can be opened: it reads from stdin and draws to stderr."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def console() -> Console:
    """Return a console for stdout: as wide as the terminal; without one, lines do not break."""
    from rich.console import Console

    size = None if sys.stdout and sys.stdout.isatty() else UNBOUNDED
    return Console(width=size, height=size, markup=False, emoji=False, highlight=False)


def deliver(content: str, file: Path | None) -> None:
    """Write to a file, or to stdout if there is none."""
    if file is None:
        typer.echo(content, nl=False)
        return
    if file.is_dir():
        complain(f"{file} is a directory; give the name of a file in it")
        raise typer.Exit(WRONG_USE)
    file.write_text(content, encoding="utf-8")
    narrate(f"wrote {file}")


def print_anything() -> None:
    """Let every character be printed: a file or a pipe is UTF-8 whatever the locale.

    A terminal has its own encoding, and shows `?` for what that lacks. Processes that print for us do alike.
    """
    for stream in (sys.stderr, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
            os.environ["PYTHONIOENCODING"] = f"{stream.encoding}:replace"
