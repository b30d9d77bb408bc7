"""Pictures in a terminal: half blocks, two pixels above each other in a character."""

from __future__ import annotations

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style

from alexplore.core.picture import Picture, Pixel, scaled

HALF = "▀"


def half_blocks(picture: Picture, columns: int, lines: int) -> list[list[Segment]]:
    """Return a picture as at most `lines` lines of at most `columns` characters, two pixels a character."""
    shown = scaled(picture, columns, 2 * lines)
    drawn: list[list[Segment]] = []
    for row in range(0, shown.height, 2):
        segments = []
        for column in range(shown.width):
            below = shown.pixel(row + 1, column) if row + 1 < shown.height else None
            segments.append(Segment(HALF, _style(shown.pixel(row, column), below)))
        drawn.append(segments)
    return drawn


def _style(above: Pixel, below: Pixel | None) -> Style:
    background = None if below is None else Color.from_triplet(ColorTriplet(*below))
    return Style(color=Color.from_triplet(ColorTriplet(*above)), bgcolor=background)
