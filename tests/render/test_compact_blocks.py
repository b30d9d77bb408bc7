"""Half blocks that take few bytes: what they show, and that they keep to the limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from alexplore.core.picture import Picture
from alexplore.render.compact_blocks import compact_blocks, resized
from alexplore.tui.changed_cells import PALETTE, Screenful

CONSOLE = Console(color_system="truecolor", force_terminal=True)


def random_picture(height: int, width: int, channels: int) -> Picture:
    data = np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)
    return Picture(height, width, channels, data.tobytes())


def _triplet(colour: Color | None) -> tuple[int, int, int] | None:
    if colour is None:
        return None
    red, green, blue = colour.get_truecolor()
    return red, green, blue


def pixels(lines: Sequence[Sequence[Segment]]) -> list[list[tuple[int, int, int] | None]]:
    """Return the colours that a terminal shows, two rows of pixels for each line."""
    rows = []
    for line in lines:
        above, below = [], []
        for segment in line:
            assert segment.style is not None
            front, back = _triplet(segment.style.color), _triplet(segment.style.bgcolor)
            for character in segment.text:
                above.append({"▀": front, "▄": back, "█": front, " ": back}[character])
                below.append({"▀": back, "▄": front, "█": front, " ": back}[character])
        rows += [above, below]
    return rows


def written(lines: Sequence[Sequence[Segment]]) -> int:
    """Return the bytes that the app writes for some lines."""
    width = sum(segment.cell_length for segment in lines[0])
    update = LayoutUpdate([[Strip(line)] for line in lines], Region(0, 0, width, len(lines)))
    return len(Screenful().changes(update, CONSOLE).encode())


def test_colours_of_the_palette_are_shown_as_they_are() -> None:
    """Greys that are in the palette's 26 values, of which 16 are used, and colours of its cube."""
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 95), (0, 175, 215), (95, 0, 255), (175, 255, 135)]
    chosen = np.random.default_rng(2).integers(0, len(colours), (6, 9))
    image = np.array(colours, np.uint8)[chosen]
    shown = pixels(compact_blocks(Picture(6, 9, 3, image.tobytes()), 9, 3))
    assert shown == [[colours[number] for number in row] for row in chosen]


def test_nothing_is_below_the_last_row_of_an_odd_number() -> None:
    shown = pixels(compact_blocks(random_picture(5, 7, 1), 7, 3))
    assert shown[-1] == [None] * 7
    assert None not in [colour for row in shown[:-1] for colour in row]


def test_a_small_picture_is_enlarged_by_a_whole_factor() -> None:
    shown = pixels(compact_blocks(Picture(1, 2, 1, bytes([0, 255])), 9, 4))
    assert shown == [[(0, 0, 0)] * 4 + [(255, 255, 255)] * 4] * 4


def test_a_reduced_pixel_is_the_mean_of_those_it_covers() -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    expected = values.reshape(2, 2, 3, 2, 1).mean((1, 3)).astype(np.uint8)
    assert (resized(values, 0.5) == expected).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("most", [1000, 8000])
def test_the_bytes_are_limited(channels: int, most: int) -> None:
    """Of the hardest picture, noise; what is estimated is nearly what the app writes."""
    lines = compact_blocks(random_picture(64, 100, channels), 100, 32, most)
    assert most / 4 < written(lines) <= 1.05 * most


def test_the_palette_is_xterms() -> None:
    """Some of its entries, as xterm's 256colres.h and every list of them have them."""
    known = {16: (0, 0, 0), 21: (0, 0, 255), 67: (95, 135, 175), 231: (255, 255, 255), 232: (8, 8, 8), 255: (238,) * 3}
    assert {number: colour for colour, number in PALETTE.items() if number in known} == known
