"""Pictures in cells: how large they are in terminals of different sizes."""

from __future__ import annotations

import numpy as np

from alexplore.core.picture import Picture
from alexplore.tui.picture_lines import drawer, width_of
from alexplore.tui.terminal_pictures import TerminalPictures


def test_a_larger_terminal_gets_a_larger_picture() -> None:
    """Noise of 40×40 pixels, whose bytes alone limit its size: two and a half times the cells, as many more bytes."""
    noise = Picture(40, 40, 1, np.random.default_rng(0).integers(0, 256, 1600, np.uint8).tobytes())

    def width(cells: int) -> int:
        return width_of(drawer(TerminalPictures(), lambda: cells)(noise, 200, 60, 2000))

    small, usual, large = (width(cells) for cells in (80 * 24, 120 * 40, 200 * 60))
    assert small == usual
    assert 1.2 * usual < large < 1.7 * usual  # √2.5 = 1.58 times the side at most
