"""The picture of the network: a block for each layer, as high as its maps are large and as wide as it has channels.

Heights are relative to the network's input, which is drawn at the left, and widths to a fixed number of channels: so a
block changes with its own layer only. Each of two towers has its own row. Layers that are equally far from the
input, as on the branches of a network, are above each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.strip import Strip

from alexplore.network.analysis import Analysis
from alexplore.network.row import Row
from alexplore.network.shapes import Shape
from alexplore.render.bars import BARS
from alexplore.tui.widgets.line_widget import LineWidget

BLOCKS = f" {BARS}"
OLD = "░"  # where the block was before the edit
WIDEST = 4096  # channels or features that fill a slot
LEAST_EIGHTHS = 3  # of a line, for a map of one pixel
INPUT_SLOT = 8  # columns for the input
LINES_FOR_SIDES, LINES_FOR_DEPTHS = 5, 6  # of the picture, from which there is room for the numbers
LINES_FOR_TOWERS = 3  # of blocks, from which each of two towers has its own row


@dataclass(frozen=True)
class Extent:
    """How large a block is: `eighths` of a line high and `width` columns wide."""

    eighths: int
    width: int


@dataclass(frozen=True)
class Block:
    """The block of a layer, in the `slot` columns that it has from column `left`.

    `now` and `before` are its extents in the network and before the edit, None if they are not known. `band` is its
    position in its stack, from the top.
    """

    row: Row
    now: Extent | None
    before: Extent | None
    left: int
    slot: int
    band: int = 0


Stack = tuple[Block, ...]
"""The blocks of one slot, from the top."""


def is_drawn(row: Row) -> bool:
    """Return whether a layer has a block: those that change a map's size or channels, and broken ones."""
    layer = row.layer
    return layer.neurons or layer.slides or layer.fixes_size or row.error is not None


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


def lay_out(
    stacks: Sequence[Sequence[Row]],
    columns: int,
    eighths: int,
    side: int,
    before: Mapping[str, Row] | None = None,
    left: int = 1,
) -> list[Stack]:
    """Return stacks of blocks side by side in `columns`, from column `left`.

    Heights are proportional to the logarithm of the map's side relative to that of `side`, the input's, so that each
    halving of the side reduces the height by the same amount; widths to the cube root of the channels relative to
    `WIDEST`. The blocks of a stack share the height of `eighths` of a line. `before` are the rows before an edit, by
    the names of the layers.
    """
    if not stacks or columns - left < 2 * len(stacks):
        return []
    slot, lines = (columns - left) // len(stacks), eighths // 8

    def extent(shape: Shape | None, bands: int) -> Extent | None:
        if shape is None:
            return None
        height = round(lines // bands * 8 * min(1.0, math.log2(side_of(shape)) / math.log2(max(2, side))))
        width = round((slot - 1) * min(1.0, (shape[0] / WIDEST) ** (1 / 3)))
        return Extent(max(LEAST_EIGHTHS, height), max(1, width))

    def block(row: Row, index: int, band: int, bands: int) -> Block:
        old = before.get(row.layer.name) if before else None
        shape = old.output if old else None
        return Block(row, extent(row.output, bands), extent(shape, bands), left + index * slot, slot, band)

    shown = [stack[: max(1, lines)] for stack in stacks]
    return [
        tuple(block(row, index, band, len(stack)) for band, row in enumerate(stack))
        for index, stack in enumerate(shown)
    ]


class NetworkStrip(LineWidget):
    """Draws the input, convolutions, pools and linear layers; ╳ marks where towers exchange activations.

    Above each block is the side of its maps in pixels, below it their number. After an edit ▲ and ▼ mark what grew and
    shrank, and the outline before is drawn behind. Layers that can't be computed are dashed, the broken one is red.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "network-strip--conv",
        "network-strip--pool",
        "network-strip--linear",
        "network-strip--selected",
        "network-strip--exchange",
        "network-strip--label",
        "network-strip--number",
        "network-strip--old",
        "network-strip--changed",
        "network-strip--broken",
    }

    @dataclass
    class Picked(Message):
        """A block was clicked."""

        index: int

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._analysis: Analysis | None = None
        self._before: Mapping[str, Row] = {}
        self._dimmed = False
        self._selected = 0
        self._row_stacks: list[list[Row]] = []
        self._stacks: list[Stack] = []

    def show(
        self, analysis: Analysis, selected: int, baseline: Analysis | None = None, *, dimmed: bool = False
    ) -> None:
        """Draw an analysis; the block of the layer at `selected`, or the last one before it, is highlighted."""
        if analysis is not self._analysis:
            towers, self._analysis = self._towers, analysis
            self._row_stacks = stacks_of(analysis.rows)
            if self._towers != towers and self.is_attached:
                self._show_legend()
        self._before = {row.layer.name: row for row in baseline.rows} if baseline else {}
        self._dimmed = dimmed
        self._selected = selected
        self.refresh()

    def notify_style_update(self) -> None:
        """Clear the cache, and draw the legend in the new colours."""
        super().notify_style_update()
        if self.is_attached:
            self.call_later(self._show_legend)

    def on_mount(self) -> None:
        """Name the pane and what is drawn."""
        self.border_title = "Picture"
        self._show_legend()

    def on_resize(self) -> None:
        """Shorten the legend to the width."""
        self._show_legend()

    def _show_legend(self) -> None:
        kinds = (("█", "conv", "convolution"), ("█", "pool", "pooling"), ("▃", "linear", "linear"))
        legend = Text(" ").join(
            Text.assemble((glyph, Style(color=self.style(f"network-strip--{kind}").color)), f" {words} ")
            for glyph, kind, words in kinds
        )
        more = ["╳ towers exchange maps"] if self._towers == 2 else []
        for words in (*more, "v hides", "activations and norms are not drawn"):
            if legend.cell_len + len(words) + 3 < self.size.width - 2:
                legend.append(f"· {words} ")
        legend.rstrip()
        self.border_subtitle = legend

    # Lines

    def render_line(self, y: int) -> Strip:
        """Render one line of the picture: sides, blocks, depths, names."""
        if y == 0 or not self._stacks:
            self._stacks = self._arrange()
        blocks = self._block_lines
        if self._has_sides and y == 0:
            return self._numbers(of_side=True)
        y -= int(self._has_sides)
        if y < blocks:
            return self._blocks_line(y, blocks)
        return self._numbers(of_side=False) if self._has_depths and y == blocks else self._names()

    @property
    def _has_sides(self) -> bool:
        return self.size.height >= LINES_FOR_SIDES

    @property
    def _has_depths(self) -> bool:
        return self.size.height >= LINES_FOR_DEPTHS

    @property
    def _block_lines(self) -> int:
        return max(1, self.size.height - 1 - int(self._has_sides) - int(self._has_depths))

    @property
    def _halves(self) -> int:
        """The lines of the row of each of two towers, 0 if they share a row."""
        return self._block_lines // 2 if self._towers == 2 and self._block_lines >= LINES_FOR_TOWERS else 0

    @property
    def _towers(self) -> int:
        return self._analysis.network.towers if self._analysis else 1

    @property
    def _side(self) -> int:
        """The larger side of the input in pixels."""
        return side_of(self._analysis.network.input) if self._analysis else 1

    def _arrange(self) -> list[Stack]:
        stacks = self._row_stacks
        lines = self._halves or self._block_lines
        left = INPUT_SLOT if self.size.width >= 8 * INPUT_SLOT else 1
        room = max(1, (self.size.width - left) // 4)
        if len(stacks) > room:  # too many for the width: show those around the selected layer
            left = 1
            room = max(1, self.size.width // 4)
            near = next((i for i, stack in enumerate(stacks) if stack[0].index > self._selected), len(stacks))
            first = max(0, min(near - room // 2, len(stacks) - room))
            stacks = stacks[first : first + room]
        return lay_out(stacks, self.size.width, lines * 8, self._side, self._before, left)

    @property
    def _left(self) -> int:
        """The columns before the first block."""
        return self._stacks[0][0].left if self._stacks else 1

    @property
    def _blocks(self) -> list[Block]:
        return [block for stack in self._stacks for block in stack]

    def _highlighted(self) -> Block | None:
        """Return the block of the selected layer, or of the last one before it."""
        before = [block for block in self._blocks if block.row.index - 1 <= self._selected]
        return max(before, key=lambda block: block.row.index, default=self._blocks[0] if self._blocks else None)

    def _style(self, block: Block, highlighted: Block | None) -> Style:
        layer = block.row.layer
        if block.row.error:
            return self.style("network-strip--broken")
        if self._dimmed or block.row.output is None:
            return self.style("network-strip--old")
        kind = ("conv" if layer.slides else "linear") if layer.neurons else "pool"
        return self.style(f"network-strip--{'selected' if block is highlighted else kind}")

    def _shown_in(self, stack: Stack, highlighted: Block | None) -> Block:
        """Return the block whose name and numbers a stack shows."""
        return highlighted if highlighted is not None and highlighted in stack else stack[0]

    def _input_column(self, text: str) -> Segment:
        """Return a text in the columns of the input."""
        return Segment(f" {text}".ljust(self._left)[: self._left], self.style("network-strip--number"))

    def _blocks_line(self, y: int, lines: int) -> Strip:
        side = "─" * (INPUT_SLOT - 4)
        box = f"┌{side}┐" if y == 0 else f"└{side}┘" if y == lines - 1 else f"│{' ' * len(side)}│"
        segments = [self._input_column(box if self._left >= INPUT_SLOT and lines > 1 else "")]
        half = self._halves
        if half and half <= y < lines - half:
            segments += self._exchanges()
        elif half:
            segments += self._row_of_blocks(y if y < half else y - lines + half, half)
        else:
            segments += self._row_of_blocks(y, lines)
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def _row_of_blocks(self, y: int, lines: int) -> list[Segment]:
        """Return line `y` of `lines` of a row of blocks, from the top."""
        highlighted = self._highlighted()
        segments: list[Segment] = []
        for stack in self._stacks:
            height = lines // len(stack)
            band, below = divmod(y - (lines - height * len(stack)), height)  # the remainder is blank, at the top
            if band < 0:
                segments.append(Segment(" " * stack[0].slot, self.style()))
            else:
                segments += self._block_cells(stack[band], height - 1 - below, height, highlighted)
        return segments

    def _block_cells(self, block: Block, from_bottom: int, height: int, highlighted: Block | None) -> list[Segment]:
        """Return a line of a block, counted from its bottom."""
        style, old = self._style(block, highlighted), self.style("network-strip--old")
        now, before = block.now, block.before
        if now is None:
            ghost = before or Extent(height * 4, max(1, block.slot // 2))
            cells = _filled(ghost, from_bottom) >= 4
            inside = "✗" if block.row.error and from_bottom == 0 else " "
            text = ("╎" + inside.center(max(1, ghost.width - 2)) + "╎") if cells or from_bottom == 0 else ""
            return [Segment(text.ljust(block.slot)[: block.slot], style)]
        filled = _filled(now, from_bottom)
        was = _filled(before, from_bottom) if before else 0
        grown = self.style("network-strip--changed") if before and filled > was else style
        both = min(now.width, before.width) if before else now.width
        segments = []
        if filled:
            segments.append(Segment(BLOCKS[filled] * both, grown))
            beyond = self.style("network-strip--changed") if before else style
            segments.append(Segment(BLOCKS[filled] * (now.width - both), beyond))
            shown = now.width
            if before and before.width > now.width and was >= 4:
                segments.append(Segment(OLD * (before.width - now.width), old))
                shown = before.width
        else:
            shown = before.width if before and was >= 4 else 0
            segments.append(Segment(OLD * shown, old))
        segments.append(Segment(" " * (block.slot - shown), self.style()))
        return segments

    def _exchanges(self) -> list[Segment]:
        style = self.style("network-strip--exchange")
        segments = []
        for stack in self._stacks:
            text = "╳" if any(block.row.exchange_bytes for block in stack) else "─"
            segments.append(Segment(text + "─" * (stack[0].slot - 1), style))
        return segments

    def _numbers(self, *, of_side: bool) -> Strip:
        """Return the sides of the maps, or how many there are, with marks of what an edit changed."""
        highlighted = self._highlighted()
        measure = side_of if of_side else _depth
        image = self._analysis.network.input if self._analysis else (0, 0, 0)
        segments = [self._input_column(str(measure(image)) if self._left >= INPUT_SLOT else "")]
        for stack in self._stacks:
            block = self._shown_in(stack, highlighted)
            old = self._before.get(block.row.layer.name)
            shape, shape_before = block.row.output, old.output if old else None
            text, kind = "", "number"
            if shape is not None:
                vector = of_side and len(shape) == 1
                text = "" if vector else str(measure(shape))
                if shape_before is not None and measure(shape) != measure(shape_before) and not vector:
                    text, kind = ("▲" if measure(shape) > measure(shape_before) else "▼") + text, "changed"
            text = text if len(text) < block.slot else ""
            segments.append(Segment(text.ljust(block.slot), self.style(f"network-strip--{kind}")))
        unit = "side, px" if of_side else "depth"
        strip = Strip(segments).adjust_cell_length(self.size.width, self.style())
        free = self.size.width - len("".join(segment.text for segment in segments).rstrip())
        if free <= len(unit) + 1:
            return strip
        return Strip.join(
            [strip.crop(0, self.size.width - len(unit)), Strip([Segment(unit, self.style("network-strip--number"))])]
        )

    def _names(self) -> Strip:
        highlighted = self._highlighted()
        segments = [Segment(" input".ljust(self._left - 1)[: self._left - 1], self.style("network-strip--number"))]
        if self._left < INPUT_SLOT:
            segments = [Segment("", self.style())]
        for stack in self._stacks:
            block = self._shown_in(stack, highlighted)
            text = ("▸" if block is highlighted else " ") + _shortened(block.row.layer.name, block.slot - 1)
            plain = block is not highlighted and not block.row.error
            style = self.style("network-strip--label") if plain else self._style(block, highlighted)
            segments.append(Segment(text.ljust(block.slot), style))
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def on_click(self, event: events.Click) -> None:
        """Report the block under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        lines = self._block_lines
        y = offset.y - int(self._has_sides)
        for stack in self._stacks:
            if stack[0].left <= offset.x < stack[0].left + stack[0].slot:
                height = max(1, lines // len(stack))
                band = max(0, min(len(stack) - 1, (y - (lines - height * len(stack))) // height))
                self.post_message(self.Picked(stack[0 if self._towers == 2 else band].row.index - 1))


def _filled(extent: Extent, from_bottom: int) -> int:
    """Return how many eighths of a line a block fills, `from_bottom` lines above its lowest."""
    return max(0, min(8, extent.eighths - from_bottom * 8))


def _shortened(name: str, room: int) -> str:
    """Return a name with fewer letters, but with its number, which distinguishes it from other names."""
    number = name[len(name.rstrip("0123456789")) :][-room:]
    return name if len(name) <= room else name[: room - len(number)] + number


def side_of(shape: Shape) -> int:
    """Return the larger side of a map in pixels; 1 for a vector."""
    return max(shape[1:], default=1)


def _depth(shape: Shape) -> int:
    return shape[0]
