"""Pictures in half blocks that take few bytes, for slow connections.

Colours are those of the 256-colour palette, whose codes take half the bytes of 24-bit colours. Of the two ways of
drawing a cell, ▀ or ▄, the one that changes fewer colours is chosen. A picture that still takes too many bytes gets
fewer colours, then fewer pixels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style

from alexplore.core.picture import Picture
from alexplore.render.inside_pictures import Colours, pixels_of

MOST_BYTES = 8000
"""The most bytes of a picture. A key press may write 10 kB; the rest is for text that changes with the picture."""

GREYS = np.array([0, *range(8, 239, 10), 255], np.uint8)
CUBE = np.array([0, 95, 135, 175, 215, 255], np.uint8)
"""Grey values, and values of a channel, in the palette (xterm)."""

LEVELS = (16, 9, 6)
"""The numbers of grey values of a picture, tried in turn until it takes few enough bytes."""

LEAST_SHRINKING, MOST_SHRINKING = 0.5, 0.95  # factors of each side, if the fewest colours still take too many bytes
MOST_FACTOR = 6  # the most pixels per side that one pixel is enlarged to
CODE_BYTES, COLOUR_BYTES, BLOCK_BYTES, LINE_BYTES = 3, 9, 3, 8  # "\x1b[m", "38;5;245;", "▀", a jump to the next line
NOTHING = -1  # the code of a pixel below the last row

Codes = NDArray[np.int64]


@lru_cache(maxsize=64)
def compact_blocks(
    picture: Picture, columns: int, lines: int, most_bytes: int = MOST_BYTES
) -> tuple[tuple[Segment, ...], ...]:
    """Return a picture as at most `lines` lines of at most `columns` characters, about `most_bytes` in a terminal.

    A small picture is enlarged by a whole factor.
    """
    pixels = pixels_of(picture)
    factor = min(columns / picture.width, 2 * lines / picture.height)
    factor = min(MOST_FACTOR, int(factor)) if factor >= 1 else factor
    while True:
        shown = resized(pixels, factor)
        fewest, size = _drawn(_codes(shown, LEVELS[-1]))
        if size <= most_bytes or shown.shape[:2] == (1, 1):
            tried = (_drawn(_codes(shown, levels)) for levels in LEVELS[:-1])
            return next((drawn for drawn, size in tried if size <= most_bytes), fewest)
        smaller = factor * max(LEAST_SHRINKING, min(MOST_SHRINKING, (most_bytes / size) ** 0.5))
        factor = int(smaller) if smaller >= 1 else smaller


def resized(pixels: Colours, factor: float) -> Colours:
    """Return pixels enlarged by a whole factor, or reduced so that each is the mean of those it covers."""
    if factor >= 1:
        return pixels.repeat(int(factor), 0).repeat(int(factor), 1)
    sums, counts = pixels.astype(np.float64), np.ones((1, 1, 1))
    for axis in (0, 1):
        size = pixels.shape[axis]
        edges = np.arange(max(1, int(size * factor))) * size // max(1, int(size * factor))
        sums = np.add.reduceat(sums, edges, axis)
        covered = np.diff([*edges, size])
        counts = counts * covered.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return (sums / counts).astype(np.uint8)


def _codes(pixels: Colours, levels: int) -> Codes:
    """Return pixels as 0xRRGGBB, each the nearest colour of the palette; greys are those of `levels` values."""
    values = pixels.astype(np.int64)
    greys = GREYS[np.rint(np.linspace(0, len(GREYS) - 1, levels)).astype(int)].astype(np.int64)
    nearest_grey = greys[np.abs(values[..., :1] - greys).argmin(-1)][..., None].repeat(3, -1)
    cube = CUBE.astype(np.int64)
    nearest_colour = cube[np.abs(values[..., None] - cube).argmin(-1)]
    grey = (values == values[..., :1]).all(-1, keepdims=True)
    chosen = np.where(grey, nearest_grey, nearest_colour)
    codes: Codes = (chosen << np.array([16, 8, 0])).sum(-1)
    return codes


def _drawn(codes: Codes) -> tuple[tuple[tuple[Segment, ...], ...], int]:
    """Return lines of half blocks, and an estimate of the bytes that they take."""
    rows = codes.tolist()
    if len(rows) % 2:
        rows.append([NOTHING] * len(rows[0]))
    front, back, size = NOTHING, NOTHING, 0
    lines = []
    for above_row, below_row in zip(rows[::2], rows[1::2], strict=True):
        segments: list[Segment] = []
        text, look = "", (front, back)
        for above, below in zip(above_row, below_row, strict=True):
            character, front, back, cost = _cell(above, below, front, back)
            size += cost
            if (front, back) != look and text:
                segments.append(Segment(text, _style(*look)))
                text = ""
            text, look = text + character, (front, back)
        segments.append(Segment(text, _style(*look)))
        lines.append(tuple(segments))
        size += LINE_BYTES
    return tuple(lines), size


def _cell(above: int, below: int, front: int, back: int) -> tuple[str, int, int, int]:
    """Return the character for two pixels, its colours, and its bytes after a cell with the colours `front`, `back`."""
    if above == below:
        if back == above:
            return " ", front, back, 1
        if front == above:
            return "█", front, back, BLOCK_BYTES
        return " ", front, above, 1 + CODE_BYTES + COLOUR_BYTES
    straight = (front != above) + (back != below)
    turned = (front != below) + (back != above)
    if turned < straight and below != NOTHING:
        character, front, back, changes = "▄", below, above, turned
    else:
        character, front, back, changes = "▀", above, below, straight
    return character, front, back, BLOCK_BYTES + CODE_BYTES * bool(changes) + COLOUR_BYTES * changes


@lru_cache(maxsize=4096)
def _style(front: int, back: int) -> Style:
    return Style(color=_colour(front), bgcolor=_colour(back))


def _colour(code: int) -> Color | None:
    if code == NOTHING:
        return None
    return Color.from_triplet(ColorTriplet(code >> 16, code >> 8 & 255, code & 255))
