"""Texts and pictures of a network's inside, drawn in cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from alexplore.tui.picture_lines import Drawn, Line
from alexplore.tui.widgets.line_widget import LineWidget


class InsidePicture(LineWidget, can_focus=True):
    """The picture of the selected line, drawn for the size that the widget has when it is painted.

    While `choosing`, its keys move the selected unit of a feature map.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "unit(0, -1, 0)", "unit", key_display="↑↓←→", tooltip="Move the selected unit of the map"),
        Binding("down", "unit(0, 1, 0)", "unit below", show=False, tooltip="Select the unit below"),
        Binding("left", "unit(0, 0, -1)", "unit before", show=False, tooltip="Select the unit at the left"),
        Binding("right", "unit(0, 0, 1)", "unit after", show=False, tooltip="Select the unit at the right"),
        Binding("m", "unit(1, 0, 0)", "next map", tooltip="Select the same unit of the next map"),
        Binding("M", "unit(-1, 0, 0)", "map before", show=False, tooltip="Select the same unit of the map before"),
        Binding("escape,u", "leave_unit", "all maps", tooltip="Show all maps again"),
    ]

    @dataclass
    class UnitMoved(Message):
        """The selected unit is to be moved `by` so many maps, rows and columns."""

        by: tuple[int, int, int]

    @dataclass
    class UnitLeft(Message):
        """No unit is to be selected any more."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"inside--careful", "inside--faint"}

    def __init__(self, source: Callable[[int, int], Drawn]) -> None:
        super().__init__(id="inside-picture", classes="frame")
        self._source = source
        self._drawn = Drawn("", ())
        self._drawn_for: Size | None = None
        self.choosing = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key works now: those of units while one is selected."""
        return self.choosing or action not in ("unit", "leave_unit")

    def action_unit(self, maps: int, rows: int, columns: int) -> None:
        """Move the selected unit."""
        self.post_message(self.UnitMoved((maps, rows, columns)))

    def action_leave_unit(self) -> None:
        """Select no unit."""
        self.post_message(self.UnitLeft())

    def _now(self) -> Drawn:
        """Return the picture for the current size."""
        if self._drawn_for != self.size:
            self._drawn_for = self.size
            self._drawn = self._source(*self.size)
        return self._drawn

    def update_lines(self) -> None:
        """Show the current state of the source; only lines that differ are drawn again."""
        before, self._drawn_for = self._drawn.lines, None
        now = self._now()
        for y in range(max(len(before), len(now.lines))):
            if self._line(before, y) != self._line(now.lines, y):
                self.refresh(Region(0, y, self.size.width, 1))
        self.write_frame(now.title)

    def turn(self) -> None:
        """Show something else, once the layout is done."""
        self._drawn_for = None
        self.refresh()

    @staticmethod
    def _line(lines: Sequence[Line], y: int) -> Line:
        return lines[y] if y < len(lines) else ()

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        own = self.style()
        segments = [
            Segment(text, own + kind if isinstance(kind, Style) else self.style(f"inside--{kind}") if kind else own)
            for text, kind in self._line(self._now().lines, y)
        ]
        return Strip(segments).adjust_cell_length(self.size.width, own)

    def copied_text(self) -> str:
        """Return the texts that are shown, without pictures."""
        lines = ("".join(text for text, kind in line if isinstance(kind, str)).rstrip() for line in self._drawn.lines)
        return "\n".join(line for line in lines if line)
