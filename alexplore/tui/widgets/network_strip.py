"""The picture of the network: a strip of blocks, as high as maps are large and as wide as they have channels.

A network with two towers has a row of blocks for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from alexplore.network.analysis import Analysis, Row
from alexplore.tui.widgets.line_widget import LineWidget

BLOCKS = " ▁▂▃▄▅▆▇█"
DRAWN = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "linear")


@dataclass(frozen=True)
class Block:
    """The block of a layer: `eighths` of a line high, `width` of the `slot` columns that it has from column `left`."""

    row: Row
    eighths: int
    width: int
    left: int
    slot: int


def lay_out(rows: list[Row], columns: int, eighths: int) -> list[Block]:
    """Return blocks side by side in `columns`, of which the first is left to the mark before a label.

    Heights, at most `eighths` of a line, follow the square root of the map's size, widths that of the channels; both
    are relative to the largest.
    """
    if not rows or columns <= 2 * len(rows):
        return []
    slot = (columns - 1) // len(rows)
    tallest = max(_side(row) for row in rows)
    widest = max(_depth(row) for row in rows)
    return [
        Block(
            row,
            max(2, round(eighths * math.sqrt(_side(row) / tallest))),
            max(1, round((slot - 1) * math.sqrt(_depth(row) / widest))),
            1 + index * slot,
            slot,
        )
        for index, row in enumerate(rows)
    ]


class NetworkStrip(LineWidget):
    """Draws the convolutions, pools and linear layers; ╳ marks where towers exchange activations."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "network-strip--conv",
        "network-strip--pool",
        "network-strip--linear",
        "network-strip--selected",
        "network-strip--exchange",
        "network-strip--label",
    }

    @dataclass
    class Picked(Message):
        """A block was clicked."""

        index: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._analysis: Analysis | None = None
        self._selected = 0
        self._blocks: list[Block] = []

    def show(self, analysis: Analysis, selected: int) -> None:
        """Draw an analysis; the block of the layer at `selected`, or the last one before it, is highlighted."""
        self._analysis = analysis
        self._selected = selected
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Render one line of the picture; the last holds the labels."""
        if y == 0 or not self._blocks:
            self._blocks = self._arrange()
        lines = self.size.height - 1
        if y == lines:
            return self._labels()
        if self._towers == 2 and lines >= 4:
            half = lines // 2
            if y < half:
                return self._band(half - 1 - y)
            if y >= lines - half:
                return self._band(lines - 1 - y)
            return self._exchanges()
        return self._band(lines - 1 - y)

    @property
    def _towers(self) -> int:
        return self._analysis.network.towers if self._analysis else 1

    def _arrange(self) -> list[Block]:
        if self._analysis is None:
            return []
        rows = [row for row in self._analysis.computed if row.layer.type in DRAWN]
        lines = self.size.height - 1
        if self._towers == 2 and lines >= 4:
            lines //= 2
        room = max(1, self.size.width // 4)
        if len(rows) > room:  # too many for the width: show those around the selected layer
            near = next((i for i, row in enumerate(rows) if row.index > self._selected), len(rows))
            first = max(0, min(near - room // 2, len(rows) - room))
            rows = rows[first : first + room]
        return lay_out(rows, self.size.width, lines * 8)

    def _highlighted(self) -> Block | None:
        before = [block for block in self._blocks if block.row.index - 1 <= self._selected]
        return before[-1] if before else (self._blocks[0] if self._blocks else None)

    def _style(self, block: Block, highlighted: Block | None) -> Style:
        kind = {"conv2d": "conv", "linear": "linear"}.get(block.row.layer.type, "pool")
        name = "selected" if block is highlighted else kind
        return self.style(f"network-strip--{name}")

    def _band(self, level: int) -> Strip:
        """Render the line that is `level` lines above the bottom of a row of blocks."""
        highlighted = self._highlighted()
        segments = [Segment(" ", self.style())]
        for block in self._blocks:
            filled = max(0, min(8, block.eighths - level * 8))
            segments.append(Segment(BLOCKS[filled] * block.width, self._style(block, highlighted)))
            segments.append(Segment(" " * (block.slot - block.width), self.style()))
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def _exchanges(self) -> Strip:
        style = self.style("network-strip--exchange")
        segments = [Segment(" ", self.style())]
        for block in self._blocks:
            text = "╳" if block.row.exchange_bytes else "─"
            segments.append(Segment(text + "─" * (block.slot - 1), style))
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def _labels(self) -> Strip:
        highlighted = self._highlighted()
        style = self.style("network-strip--label")
        segments = []
        for block in self._blocks:
            text = ("▸" if block is highlighted else " ") + _shortened(block.row.layer.name, block.slot - 1)
            segments.append(
                Segment(text.ljust(block.slot), self._style(block, highlighted) if block is highlighted else style)
            )
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def on_click(self, event: events.Click) -> None:
        """Report the block under the pointer."""
        for block in self._blocks:
            if block.left <= event.x < block.left + block.slot:
                self.post_message(self.Picked(block.row.index - 1))


def _shortened(name: str, room: int) -> str:
    """Return a name without some of its letters, but with its number, which tells it from others."""
    number = name[len(name.rstrip("0123456789")) :][-room:]
    return name if len(name) <= room else name[: room - len(number)] + number


def _side(row: Row) -> int:
    return max(row.output[1:], default=1) if row.output else 1


def _depth(row: Row) -> int:
    return row.output[0] if row.output else 1
