"""Bars of block characters, which have eighths of a cell."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
"""From an eighth of a cell to all of it."""


def bar(share: float) -> str:
    """Return the bar for a share of the largest value, from 0 for the lowest bar to 1."""
    return BARS[round(share * (len(BARS) - 1))]


def histogram_bars(counts: Iterable[int], width: int = 16) -> str:
    """Return counts as `width` characters: bars with heights by the square root of the count, blanks for 0."""
    return histogram_lines(counts, width, 1)[0]


def histogram_lines(counts: Iterable[int], width: int, lines: int) -> list[str]:
    """Return counts as `lines` lines of `width` characters: bars with heights by the square root of the count.

    The root keeps the tails visible: a bar of half the height stands for a quarter of the values. A count
    of 0 is blank.
    """
    values = list(counts)
    ends = [len(values) * number // width for number in range(width + 1)]
    sums = [sum(values[start:end]) for start, end in pairwise(ends)]
    largest = max(1, *sums)
    most = len(BARS) * lines
    eighths = [1 + round((most - 1) * (value / largest) ** 0.5) if value else 0 for value in sums]
    return [
        "".join(_eighth_block(height - len(BARS) * below) for height in eighths) for below in range(lines - 1, -1, -1)
    ]


def _eighth_block(height: int) -> str:
    """Return the block that fills `height` eighths of a cell; all of it or nothing outside 0 to 8."""
    return BARS[min(height, len(BARS)) - 1] if height > 0 else " "
