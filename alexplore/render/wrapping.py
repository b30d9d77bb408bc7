"""Wrapping text to a width in a terminal."""

from __future__ import annotations

import textwrap
from functools import cache

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

MORE = " …"
"""What ends a text that is cut."""


def wrap_cells(text: str, width: int, *, break_on_hyphens: bool = True, most_lines: int | None = None) -> list[str]:
    """Return a text in lines of at most `width` cells, which is at least 2; one of more than `most_lines` is cut.

    `textwrap` counts characters, and a Chinese or Japanese one takes two cells. Rich counts cells, but takes longer.
    """
    if cell_len(text) == len(text):
        return textwrap.wrap(text, width, break_on_hyphens=break_on_hyphens, max_lines=most_lines, placeholder=MORE)
    lines = [line.plain.rstrip() for line in Text(" ".join(text.split())).wrap(_console(), width)]
    if most_lines is not None and len(lines) > most_lines:
        last = set_cell_size(lines[most_lines - 1], width - cell_len(MORE)).rstrip()
        lines = [*lines[: most_lines - 1], last + MORE]
    return lines


@cache
def _console() -> Console:
    """Return what Rich asks for, and would only need to justify lines."""
    return Console()
