"""The one place for outcomes, above the keys: what was just done, or why it was not."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip

from alexplore.core.formatting import with_ellipsis
from alexplore.tui.widgets.line_widget import LineWidget

MOST_LINES = 4


class StatusLine(LineWidget):
    """Shows a message, wrapped onto a few lines if it is long; it stays until another replaces it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"status-line--warning", "status-line--error"}

    def __init__(self) -> None:
        super().__init__()
        self._message, self._severity = "", "information"
        self._lines: list[str] = [""]

    @property
    def message(self) -> str:
        """The message that is shown."""
        return self._message

    def show(self, message: str, severity: str = "information") -> None:
        """Show a message in the colour of its severity: information, warning or error."""
        if (message, severity) != (self._message, self._severity):
            self._message, self._severity = message, severity
            self._wrap()
            self.refresh()

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._wrap()

    def _wrap(self) -> None:
        width = max(1, (self.size.width or 80) - 2)
        wrapped = [line.plain.rstrip() for line in Text(self._message).wrap(self.app.console, width)] or [""]
        if len(wrapped) > MOST_LINES:
            wrapped = [*wrapped[: MOST_LINES - 1], with_ellipsis(wrapped[MOST_LINES - 1][: width - 1])]
        if len(wrapped) != len(self._lines):
            self.styles.height = len(wrapped)
        self._lines = wrapped

    def render_line(self, y: int) -> Strip:
        """Render one line of the message."""
        kind = "" if self._severity == "information" else f"status-line--{self._severity}"
        text = self._lines[y] if y < len(self._lines) else ""
        return Strip([Segment(f" {text}", self.style(kind))]).adjust_cell_length(self.size.width, self.style())
