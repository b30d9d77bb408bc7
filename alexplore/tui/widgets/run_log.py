"""The log of a run, wrapped to the width of its panel."""

from __future__ import annotations

from collections import deque

from rich.text import Text
from textual.events import Resize
from textual.widgets import RichLog

KEPT_LINES = 1000


class RunLog(RichLog):
    """Keeps its lines: those added while it is hidden wait for a width, and at another width all are wrapped again."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, max_lines=KEPT_LINES, wrap=True)
        self._lines_added: deque[Text] = deque(maxlen=KEPT_LINES)
        self._width = 0

    def add(self, line: Text) -> None:
        """Add a line."""
        self._lines_added.append(line)
        if self._width:
            self.write(line, self._width)

    def clear_lines(self) -> None:
        """Remove all lines."""
        self._lines_added.clear()
        self.clear()

    def on_resize(self, event: Resize) -> None:
        """Wrap to the new width, taken from the event: during a layout the widget's own size is the old one."""
        width = (event.size - self.styles.gutter.totals - self.scrollbar_gutter.totals).width
        if width and width != self._width:
            self._width = width
            self.clear()
            for line in self._lines_added:
                self.write(line, width)
