"""The log of a run, wrapped to the width that there is."""

from __future__ import annotations

from collections import deque

from rich.text import Text
from textual.events import Resize
from textual.widgets import RichLog

KEPT_LINES = 1000


class RunLog(RichLog):
    """Keeps what it was told: what comes while it is hidden waits for its width, and another width wraps all anew."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, max_lines=KEPT_LINES, wrap=True)
        self._lines_added: deque[Text] = deque(maxlen=KEPT_LINES)
        self._width = 0

    def add(self, line: Text) -> None:
        """Add a line."""
        self._lines_added.append(line)
        if self._width:
            self.write(line, self._width)

    def forget(self) -> None:
        """Begin anew."""
        self._lines_added.clear()
        self.clear()

    def on_resize(self, event: Resize) -> None:
        """Wrap to the new width, which the event has: where the log stands is not known while it is laid out."""
        width = (event.size - self.styles.gutter.totals - self.scrollbar_gutter.totals).width
        if width and width != self._width:
            self._width = width
            self.clear()
            for line in self._lines_added:
                self.write(line, width)
