"""The picture of the network: a strip of blocks, as high as maps are large and as wide as they have channels.

Each of two towers has a row of its own. Layers that are equally far from the input, as on the branches of a network,
are above each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Block:
    """The block of a layer: `eighths` of a line high, and `width` of the `slot` columns that it has from column `left`.

    `band` is its position in its stack, from the top.
    """

    row: Row
    eighths: int
    width: int
    left: int
    slot: int
    band: int = 0


Stack = tuple[Block, ...]
"""The blocks of one slot, from the top."""


def is_drawn(row: Row) -> bool:
    """Return whether a layer has a block: those that change a map's size or channels."""
    layer = row.layer
    return layer.neurons or layer.slides or layer.fixes_size


def stacks_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the drawn rows, those that are equally far from the input together."""
    depths: dict[int, int] = {}
    stacks: list[list[Row]] = []
    for row in rows:
        above = max((depths.get(source, 0) for source in row.sources), default=0)
        depths[row.index - 1] = above + is_drawn(row)
        if is_drawn(row):
            if above == len(stacks):
                stacks.append([])
            stacks[above].append(row)
    return stacks


def lay_out(stacks: Sequence[Sequence[Row]], columns: int, eighths: int) -> list[Stack]:
    """Return stacks of blocks side by side in `columns`, after a column for the mark before the first label.

    Heights follow the square root of the map's size, widths that of the channels, both relative to the largest. The
    blocks of a stack share the height of `eighths` of a line.
    """
    if not stacks or columns <= 2 * len(stacks):
        return []
    slot, lines = (columns - 1) // len(stacks), eighths // 8
    tallest = max(_side(row) for stack in stacks for row in stack)
    widest = max(_depth(row) for stack in stacks for row in stack)

    def block(row: Row, index: int, band: int, bands: int) -> Block:
        height = max(2, round(lines // bands * 8 * math.sqrt(_side(row) / tallest)))
        width = max(1, round((slot - 1) * math.sqrt(_depth(row) / widest)))
        return Block(row, height, width, 1 + index * slot, slot, band)

    shown = [stack[: max(1, lines)] for stack in stacks]
    return [
        tuple(block(row, index, band, len(stack)) for band, row in enumerate(stack))
        for index, stack in enumerate(shown)
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
        self._row_stacks: list[list[Row]] = []
        self._stacks: list[Stack] = []

    def show(self, analysis: Analysis, selected: int) -> None:
        """Draw an analysis; the block of the layer at `selected`, or the last one before it, is highlighted."""
        if analysis is not self._analysis:
            self._analysis = analysis
            self._row_stacks = stacks_of(analysis.computed)
        self._selected = selected
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Render one line of the picture; the last holds the labels."""
        if y == 0 or not self._stacks:
            self._stacks = self._arrange()
        lines = self.size.height - 1
        if y == lines:
            return self._labels()
        if self._towers == 2 and lines >= 4:
            half = lines // 2
            if y < half:
                return self._line(y, half)
            if y >= lines - half:
                return self._line(y - lines + half, half)
            return self._exchanges()
        return self._line(y, lines)

    @property
    def _towers(self) -> int:
        return self._analysis.network.towers if self._analysis else 1

    def _arrange(self) -> list[Stack]:
        stacks = self._row_stacks
        lines = self.size.height - 1
        if self._towers == 2 and lines >= 4:
            lines //= 2
        room = max(1, self.size.width // 4)
        if len(stacks) > room:  # too many for the width: show those around the selected layer
            near = next((i for i, stack in enumerate(stacks) if stack[0].index > self._selected), len(stacks))
            first = max(0, min(near - room // 2, len(stacks) - room))
            stacks = stacks[first : first + room]
        return lay_out(stacks, self.size.width, lines * 8)

    @property
    def _blocks(self) -> list[Block]:
        return [block for stack in self._stacks for block in stack]

    def _highlighted(self) -> Block | None:
        """Return the block of the selected layer, or of the last one before it."""
        before = [block for block in self._blocks if block.row.index - 1 <= self._selected]
        return max(before, key=lambda block: block.row.index, default=self._blocks[0] if self._blocks else None)

    def _style(self, block: Block, highlighted: Block | None) -> Style:
        layer = block.row.layer
        kind = ("conv" if layer.slides else "linear") if layer.neurons else "pool"
        return self.style(f"network-strip--{'selected' if block is highlighted else kind}")

    def _line(self, y: int, lines: int) -> Strip:
        """Render line `y` of `lines` of a row of blocks, from the top."""
        highlighted = self._highlighted()
        segments = [Segment(" ", self.style())]
        for stack in self._stacks:
            height = lines // len(stack)
            band, below = divmod(y - (lines - height * len(stack)), height)  # the remainder is blank, at the top
            if band < 0:
                segments.append(Segment(" " * stack[0].slot, self.style()))
                continue
            block = stack[band]
            filled = max(0, min(8, block.eighths - (height - 1 - below) * 8))
            segments.append(Segment(BLOCKS[filled] * block.width, self._style(block, highlighted)))
            segments.append(Segment(" " * (block.slot - block.width), self.style()))
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def _exchanges(self) -> Strip:
        style = self.style("network-strip--exchange")
        segments = [Segment(" ", self.style())]
        for stack in self._stacks:
            text = "╳" if any(block.row.exchange_bytes for block in stack) else "─"
            segments.append(Segment(text + "─" * (stack[0].slot - 1), style))
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def _labels(self) -> Strip:
        highlighted = self._highlighted()
        style = self.style("network-strip--label")
        segments = []
        for stack in self._stacks:
            block = highlighted if highlighted is not None and highlighted in stack else stack[0]
            text = ("▸" if block is highlighted else " ") + _shortened(block.row.layer.name, block.slot - 1)
            segments.append(
                Segment(text.ljust(block.slot), self._style(block, highlighted) if block is highlighted else style)
            )
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def on_click(self, event: events.Click) -> None:
        """Report the block under the pointer."""
        lines = max(1, self.size.height - 1)
        for stack in self._stacks:
            if stack[0].left <= event.x < stack[0].left + stack[0].slot:
                height = max(1, lines // len(stack))
                band = max(0, min(len(stack) - 1, (event.y - (lines - height * len(stack))) // height))
                self.post_message(self.Picked(stack[0 if self._towers == 2 else band].row.index - 1))


def _shortened(name: str, room: int) -> str:
    """Return a name without some of its letters, but with its number, which tells it from others."""
    number = name[len(name.rstrip("0123456789")) :][-room:]
    return name if len(name) <= room else name[: room - len(number)] + number


def _side(row: Row) -> int:
    return max(row.output[1:], default=1) if row.output else 1


def _depth(row: Row) -> int:
    return row.output[0] if row.output else 1
