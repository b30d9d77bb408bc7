"""Numbers in frames side by side, or without frames if there is no room for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip

from alexplore.core.formatting import cut
from alexplore.tui.run_facts import Tile
from alexplore.tui.widgets.line_widget import LineWidget

LEAST_WIDTH = 20  # cells of a tile with a frame
LEAST_HEIGHT = 30  # lines of a terminal in which tiles have frames


class Tiles(LineWidget):
    """Draws tiles, each with its title in the frame, its value, and a note below."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tiles--frame", "tiles--value", "tiles--note"}
    DEFAULT_CSS = """
    Tiles {
        height: 4;
        .tiles--frame { color: $frame; }
        .tiles--value { color: $foreground; text-style: bold; }
        .tiles--note { color: $faint; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tiles: Sequence[Tile] = ()

    def show(self, tiles: Sequence[Tile]) -> None:
        """Show tiles."""
        if list(tiles) != list(self._tiles):
            self._tiles = tiles
            if self._framed or self.size.height != self._height:
                self.styles.height = self._height
            self.refresh()

    def on_resize(self) -> None:
        """Use frames if there is room for them."""
        self.styles.height = self._height

    @property
    def _framed(self) -> bool:
        width, height = self.app.size
        return height >= LEAST_HEIGHT and width // max(1, len(self._tiles)) >= LEAST_WIDTH

    @property
    def _height(self) -> int:
        return 4 if self._framed else len(self._lines(self.size.width or self.app.size.width))

    def render_line(self, y: int) -> Strip:
        """Render one line of all tiles."""
        width, count = self.size.width, max(1, len(self._tiles))
        if self.size.height < 4:
            return self._in_lines(y, width)
        segments: list[Segment] = []
        for number, tile in enumerate(self._tiles):
            left, right = width * number // count, width * (number + 1) // count
            segments += self._part(tile, y, right - left)
        return Strip(segments).adjust_cell_length(width, self.style())

    def _part(self, tile: Tile, y: int, width: int) -> list[Segment]:
        frame, inner = self.style("tiles--frame"), width - 2
        if y == 0:
            title = f"─ {tile.title} "
            return [Segment("╭" + title[:inner] + "─" * (inner - len(title)) + "╮", frame)]
        if y == 3:
            return [Segment("╰" + "─" * inner + "╯", frame)]
        text, kind = (tile.value, "tiles--value") if y == 1 else (tile.note, "tiles--note")
        text = cut(text, inner - 1)
        return [Segment("│", frame), Segment(f" {text}".ljust(inner), self.style(kind)), Segment("│", frame)]

    def _lines(self, width: int) -> list[list[Tile]]:
        """Return the tiles without frames, as many in a line as fit whole."""
        lines: list[list[Tile]] = [[]]
        for tile in self._tiles:
            used = sum(len(other.line) + 3 for other in lines[-1])
            if lines[-1] and used + len(tile.line) + 1 > width:
                lines.append([])
            lines[-1].append(tile)
        return lines

    def _in_lines(self, y: int, width: int) -> Strip:
        lines = self._lines(width)
        segments = [Segment(" ", self.style())]
        for number, tile in enumerate(lines[y] if y < len(lines) else []):
            segments.append(Segment(f"{' · ' if number else ''}{tile.title} ", self.style("tiles--note")))
            segments.append(Segment(tile.value, self.style("tiles--value")))
        return Strip(segments).adjust_cell_length(width, self.style())
