"""The pictures that the app draws in a terminal's own pixels, each with the number that its cells carry.

A widget fills the cells of a picture with blanks in the style `style`, and `changed_cells.py` draws the picture over
them when all of them are shown. No Textual.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from rich.style import Style

from alexplore.core.picture import Picture
from alexplore.render.terminal_pixels import PixelPicture, Pixels

KEPT = 64
"""Pictures that are remembered: those of some screens."""

PIXEL_SHARE = 0.75
"""Of the bytes of a picture, what its pixels may take: blanks are written into its cells, too."""

META = "picture"
"""The key of a style's meta data that holds the number of a picture."""

Asked = tuple[Picture, int, int, int | None]


class TerminalPictures:
    """Makes pictures in pixels, if the terminal draws any, and finds them again by their numbers."""

    def __init__(
        self, pixels: Pixels | None = None, measure: Callable[[], tuple[int, int] | None] | None = None
    ) -> None:
        """Draw with `pixels`, nothing if left out; `measure` returns the current width and height of a cell."""
        self._pixels = pixels
        self._measure = measure
        self._numbers = count(1)
        self._numbered: dict[int, PixelPicture] = {}
        self._known: OrderedDict[Asked, tuple[int, PixelPicture] | None] = OrderedDict()

    def measure(self) -> None:
        """Measure the cells again: the terminal was resized, perhaps by another size of its letters."""
        cell = self._measure() if self._measure else None
        if self._pixels and cell and cell != (self._pixels.cell_width, self._pixels.cell_height):
            self._pixels = replace(self._pixels, cell_width=cell[0], cell_height=cell[1])
            self._known.clear()

    def draw(self, picture: Picture, columns: int, lines: int, most_bytes: int) -> tuple[Style, PixelPicture] | None:
        """Return a picture for at most `columns` × `lines` cells, and the style of its cells.

        None where half blocks show more: see `in_pixels`.
        """
        if self._pixels is None:
            return None
        from alexplore.render.pixels import in_pixels  # imports numpy, which the first screen does without

        asked = picture, columns, lines, most_bytes
        if asked not in self._known:
            number = next(self._numbers)
            drawn = in_pixels(picture, self._pixels, columns, lines, int(PIXEL_SHARE * most_bytes), number=number)
            self._known[asked] = (number, drawn) if drawn else None
            if drawn:
                self._numbered[number] = drawn
            while len(self._known) > KEPT:
                _, oldest = self._known.popitem(last=False)
                if oldest:
                    del self._numbered[oldest[0]]
        self._known.move_to_end(asked)
        found = self._known[asked]
        return (Style(meta={META: found[0]}), found[1]) if found else None

    def prepare(self) -> None:
        """Import what draws, so that the first picture does not wait for it."""
        self.draw(Picture(1, 1, 1, bytes(1)), 1, 1, 1000)

    def find(self, number: int) -> PixelPicture | None:
        """Return the picture with a number, None if it was forgotten."""
        return self._numbered.get(number)
