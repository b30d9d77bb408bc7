"""The first line of every screen: the three modes, and at the right what is training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from alexplore.tui.state import MODES, Mode
from alexplore.tui.widgets.line_widget import LineWidget

NAME = " alexplore  "


class ModeBar(LineWidget):
    """Shows the modes, the current one in a block; a click on one requests it, a click on the right the runs."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "mode-bar--current",
        *(f"mode-bar--{state}" for state in ("starting", "running", "paused", "failed", "crashed")),
    }

    @dataclass
    class Picked(Message):
        """A mode was clicked."""

        mode: Mode

    def __init__(self, mode: Mode | None) -> None:
        super().__init__()
        self._mode = mode
        self._texts: list[tuple[str, str]] = []

    def show(self, texts: list[tuple[str, str]]) -> None:
        """Show the first of `texts` that fits at the right, in the colour of its state."""
        if texts != self._texts:
            self._texts = texts
            self.refresh()

    def _labels(self) -> list[tuple[str, Mode]]:
        labels: list[tuple[str, Mode]] = []
        for number, (mode, title) in enumerate(MODES.items(), 1):
            text = f"{number} {title}"
            labels.append((f"▌{text}▐" if mode == self._mode else f" {text} ", mode))
        return labels

    def render_line(self, y: int) -> Strip:
        """Render the line."""
        base, width = self.style(), self.size.width
        segments = [Segment(NAME, base)]
        for text, mode in self._labels():
            segments.append(Segment(text, self.style("mode-bar--current") if mode == self._mode else base))
        room = width - sum(cell_len(segment.text) for segment in segments) - 2
        text, state = next(((text, state) for text, state in self._texts if cell_len(text) <= room), ("", ""))
        segments.append(Segment(" " * (room - cell_len(text) + 1), base))
        segments.append(Segment(f"{text} ", self.style(f"mode-bar--{state}") if state else base))
        return Strip(segments).adjust_cell_length(width, base)

    def on_click(self, event: events.Click) -> None:
        """Request the mode under the pointer."""
        left = len(NAME)
        for text, mode in self._labels():
            if left <= event.x < left + len(text):
                self.post_message(self.Picked(mode))
                return
            left += len(text)
        if event.x >= left:
            self.post_message(self.Picked("runs"))
