"""Output of commands: data to stdout, progress and errors to stderr. In `cli`, only `bell.py` writes elsewhere.

All texts are escaped by `inert`: names, reasons and messages may come from files of other people.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import typer

from alexplore.core.boundary import naming_stdout
from alexplore.core.errors import WrongUseError
from alexplore.core.home import expand
from alexplore.core.inert import inert

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from alexplore.core.atomic_files import Content

UNBOUNDED = 10**6  # width of a file or a pipe: every line fits


def complain(message: str) -> None:
    """Print an error message to stderr, if that can be written."""
    with suppress(OSError):
        typer.secho(f"error: {inert(message)}", fg="red", err=True)


def narrate(message: str) -> None:
    """Print a message about progress to stderr, if that can be written."""
    with suppress(OSError):
        typer.echo(inert(message), err=True)


def say(text: str, *, end: str = "\n") -> None:
    """Print data to stdout.

    Raises:
        OSError: stdout is closed, or its disk is full.
    """
    with naming_stdout():
        typer.echo(inert(text) + end, nl=False)


def say_json(content: Any, indent: int | None = None) -> None:
    """Print a value as JSON, in ASCII."""
    import json

    say(json.dumps(content, indent=indent, ensure_ascii=True))


def on_a_terminal() -> bool:
    """Return whether stdin, stdout and stderr are terminals, so that the app can be opened."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def console() -> Console:
    """Return a console for stdout, as wide as the terminal; without a terminal, lines are not wrapped."""
    from rich.console import Console
    from rich.segment import Segment

    class InertConsole(Console):
        """Escapes control characters in laid-out text; the console's own control codes are kept."""

        _inside = False  # whether this call of `render` is for a part of a renderable

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            segments = super().render(renderable, options)
            return segments if self._inside else self._escaped(segments)

        def _escaped(self, segments: Iterable[Segment]) -> Iterable[Segment]:
            self._inside = True
            try:
                for segment in segments:
                    text, style, control = segment
                    yield segment if control or text.isprintable() else Segment(inert(text), style)
            finally:
                self._inside = False

        def print(self, *renderables: Any, **options: Any) -> None:
            with naming_stdout():
                super().print(*renderables, **options)

    size = None if sys.stdout and sys.stdout.isatty() else UNBOUNDED
    return InertConsole(width=size, height=size, markup=False, emoji=False, highlight=False)


def deliver(content: str | Iterable[str], file: Path | None) -> None:
    """Write a text, whole or in pieces, to a file (see `deliver_file`), or to stdout if `file` is None."""
    if file is not None:
        deliver_file(content, file)
        return
    for piece in (content,) if isinstance(content, str) else content:
        say(piece, end="")


def check_writable(file: Path) -> None:
    """Check a file that is to be written after a long calculation.

    Raises:
        WrongUseError: it is a folder, or in none.
    """
    from alexplore.core.atomic_files import check_no_folder

    path = expand(file)
    check_no_folder(path)
    if not path.parent.is_dir():
        raise WrongUseError(f"{file}: there is no folder {path.parent}")


def deliver_file(content: Content, file: Path) -> None:
    """Write a file atomically.

    Raises:
        WrongUseError: the file is a folder.
        OSError: the file can't be written; the error names it.
    """
    from alexplore.core.atomic_files import write_output

    write_output(expand(file), content)
    narrate(f"wrote {file}")


def deliver_in_folder(name: str, content: Content, folder: Path | None, format_name: str) -> None:
    """Write a file with a given name into a folder, which is created if needed.

    Raises:
        WrongUseError: `folder` is None.
        OSError: the file can't be written; the error names it.
    """
    if folder is None:
        raise WrongUseError(f"--to {format_name} writes a file with a name of its own; name its folder with --output")
    from alexplore.core.atomic_files import write_output

    path = expand(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, content)
    narrate(f"wrote {path}")


def allow_all_characters() -> None:
    """Make every character printable: files and pipes get UTF-8 in any locale.

    A terminal keeps its encoding, and shows `?` for characters that it lacks. Child processes do the same.
    """
    for stream in (sys.stderr, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
            os.environ["PYTHONIOENCODING"] = f"{stream.encoding}:replace"
