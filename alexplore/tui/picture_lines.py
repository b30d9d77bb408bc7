"""Pictures as lines of cells: in half blocks, or as the cells of a picture in the terminal's pixels. No Textual.

A line is a sequence of texts, each with a kind that gives its colour ("", faint, careful) or its style.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len
from rich.style import Style

from alexplore.core.picture import Picture
from alexplore.render.compact_blocks import MOST_BYTES, compact_blocks
from alexplore.tui.terminal_pictures import TerminalPictures

Part = tuple[str, str | Style]
Line = Sequence[Part]

GAP = 2
"""Cells between what stands side by side."""

USUAL_CELLS = 120 * 40
"""A terminal with more cells gets pictures of more bytes, in proportion; there, other screens take more, too."""


@dataclass(frozen=True)
class Drawn:
    """What a pane shows, with its title."""

    title: str
    lines: Sequence[Line]


class Draw(Protocol):
    """Draws a picture in at most `columns` × `lines` cells that take about `most_bytes` bytes in a usual terminal.

    `blocks` draws it in half blocks even where the terminal draws pixels.
    """

    def __call__(
        self, picture: Picture, columns: int, lines: int, most_bytes: int = MOST_BYTES, *, blocks: bool = False
    ) -> list[Line]:
        """Return the lines of the picture."""


def half_block_lines(
    picture: Picture, columns: int, lines: int, most_bytes: int = MOST_BYTES, *, blocks: bool = True
) -> list[Line]:
    """Draw a picture in half blocks, whatever `blocks` is."""
    del blocks
    return [
        [(segment.text, segment.style or "") for segment in line]
        for line in compact_blocks(picture, max(1, columns), max(1, lines), most_bytes)
    ]


def drawer(pictures: TerminalPictures, cells: Callable[[], int]) -> Draw:
    """Return what draws a picture in the terminal's pixels where they show more, and in half blocks elsewhere.

    `cells` returns how many cells the terminal has.
    """

    def draw(
        picture: Picture, columns: int, lines: int, most_bytes: int = MOST_BYTES, *, blocks: bool = False
    ) -> list[Line]:
        allowed = round(most_bytes * max(1.0, cells() / USUAL_CELLS))
        found = None if blocks else pictures.draw(picture, max(1, columns), max(1, lines), allowed)
        if found is None:
            return half_block_lines(picture, columns, lines, allowed)
        style, drawn = found
        return [[(" " * drawn.columns, style)] for _ in range(drawn.lines)]

    return draw


def width_of(lines: Sequence[Line]) -> int:
    """Return the cells of the longest line."""
    return max((sum(cell_len(text) for text, _ in line) for line in lines), default=0)


def beside(left: Sequence[Line], right: Sequence[Line]) -> list[Line]:
    """Return lines side by side, the right ones in one column."""
    width = width_of(left) + GAP
    lines: list[Line] = []
    for number in range(max(len(left), len(right))):
        line = left[number] if number < len(left) else []
        pad = " " * (width - sum(cell_len(text) for text, _ in line))
        lines.append([*line, (pad, ""), *right[number]] if number < len(right) else line)
    return lines
