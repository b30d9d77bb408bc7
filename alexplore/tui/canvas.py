"""A canvas of characters on which lines are drawn with braille dots: two by four in each cell."""

from __future__ import annotations

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille character, by its row and column in the cell (Unicode, U+2800 to U+28FF)."""

BRAILLE = 0x2800

Cell = tuple[str, str]
"""A character and the name of its colour; "" is the background's colour."""

BLANK: Cell = (" ", "")


class Canvas:
    """Cells with braille dots, or with a character drawn over them.

    Dots are counted from the top left corner. A cell has the colour of what was drawn in it last.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.dots_across, self.dots_down = 2 * width, 4 * height
        self._dots = [bytearray(width) for _ in range(height)]
        self._colours = [[""] * width for _ in range(height)]
        self._marks: dict[tuple[int, int], Cell] = {}

    def dot(self, x: int, y: int, colour: str) -> None:
        """Draw a dot; dots outside the canvas are ignored."""
        if 0 <= x < self.dots_across and 0 <= y < self.dots_down:
            row, column = y >> 2, x >> 1
            self._dots[row][column] |= DOTS[y & 3][x & 1]
            self._colours[row][column] = colour

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: str) -> None:
        """Draw a line between two dots."""
        (x, y), (end_x, end_y) = start, end
        steps = max(abs(end_x - x), abs(end_y - y), 1)
        for step in range(steps + 1):
            self.dot(x + round((end_x - x) * step / steps), y + round((end_y - y) * step / steps), colour)

    def mark(self, x: int, y: int, character: str, colour: str) -> None:
        """Put a character on the cell of a dot."""
        self._marks[y >> 2, x >> 1] = (character, colour)

    def rows(self) -> list[list[Cell]]:
        """Return the cells, line by line."""
        rows: list[list[Cell]] = [
            [(chr(BRAILLE + bits), colour) if bits else BLANK for bits, colour in zip(dots, colours, strict=True)]
            for dots, colours in zip(self._dots, self._colours, strict=True)
        ]
        for (row, column), cell in self._marks.items():
            if 0 <= row < self.height and 0 <= column < self.width:
                rows[row][column] = cell
        return rows
