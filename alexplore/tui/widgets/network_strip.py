"""The network as a strip of blocks: height follows the map's size, width its channels, one row for each tower."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from alexplore.network.analysis import Analysis
from alexplore.network.row import Row
from alexplore.tui.widgets.line_widget import LineWidget

BLOCKS = " ▁▂▃▄▅▆▇█"
DRAWN = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "linear")


@dataclass(frozen=True)
class Block:
    """A layer in the strip: eighths of a line high, columns wide, beginning at column `left`."""

    row: Row
    eighths: int
    width: int
    left: int
    slot: int


def lay_out(rows: list[Row], columns: int, eighths: int) -> list[Block]:
    """Blocks side by side in `columns`, the first left to the mark before a label: heights by √map size, widths by
    √channels, both against the largest."""
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
    """Draws the convolutions, pools and linear layers; ╳ stands where towers exchange what they hold."""

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
        """Draw an analysis with the block of layer `selected`, or the one before it, lit."""
        self._analysis = analysis
        self._selected = selected
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the picture; the last holds the labels."""
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
        if len(rows) > room:  # too many for one screen: those around the selected layer
            near = next((i for i, row in enumerate(rows) if row.index > self._selected), len(rows))
            first = max(0, min(near - room // 2, len(rows) - room))
            rows = rows[first : first + room]
        return lay_out(rows, self.size.width, lines * 8)

    def _lit(self) -> Block | None:
        before = [block for block in self._blocks if block.row.index - 1 <= self._selected]
        return before[-1] if before else (self._blocks[0] if self._blocks else None)

    def _style(self, block: Block, lit: Block | None) -> Style:
        kind = {"conv2d": "conv", "linear": "linear"}.get(block.row.layer.type, "pool")
        name = "selected" if block is lit else kind
        return self.style(f"network-strip--{name}")

    def _band(self, level: int) -> Strip:
        """The line `level` lines above the ground."""
        lit = self._lit()
        segments = [Segment(" ", self.style())]
        for block in self._blocks:
            filled = max(0, min(8, block.eighths - level * 8))
            segments.append(Segment(BLOCKS[filled] * block.width, self._style(block, lit)))
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
        lit = self._lit()
        style = self.style("network-strip--label")
        segments = []
        for block in self._blocks:
            text = ("▸" if block is lit else " ") + _shortened(block.row.layer.name, block.slot - 1)
            segments.append(Segment(text.ljust(block.slot), self._style(block, lit) if block is lit else style))
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def on_click(self, event: events.Click) -> None:
        """Pick the block under the pointer."""
        for block in self._blocks:
            if block.left <= event.x < block.left + block.slot:
                self.post_message(self.Picked(block.row.index - 1))


def _shortened(name: str, room: int) -> str:
    """A name without some of its letters: its number tells it from others."""
    number = name[len(name.rstrip("0123456789")) :][-room:]
    return name if len(name) <= room else name[: room - len(number)] + number


def _side(row: Row) -> int:
    return max(row.output[1:], default=1) if row.output else 1


def _depth(row: Row) -> int:
    return row.output[0] if row.output else 1
