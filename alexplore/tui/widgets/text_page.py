"""A page of text to read: what the command line prints, as lines with a cursor that can be copied."""

from __future__ import annotations

from typing import ClassVar

from rich.console import RenderableType
from rich.segment import Segment
from textual.strip import Strip

from alexplore.tui.widgets.cursor_list import CursorList


class TextPage(CursorList):
    """Shows Rich content, fitted to the width; `y` copies the line under the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}

    def __init__(self, content: RenderableType, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._content = content
        self._lines: list[list[Segment]] = []

    def on_resize(self) -> None:
        """Fit the content to the new width, beside the scrollbar if it has more lines than the page."""
        region = self.content_region
        self._lines = self._fitted(region.width)
        if len(self._lines) > region.height:
            self._lines = self._fitted(region.width - self.styles.scrollbar_size_vertical)
        self.show_lines()
        super().on_resize()

    def _fitted(self, width: int) -> list[list[Segment]]:
        options = self.app.console_options.update(width=max(20, width), height=None)
        return self.app.console.render_lines(self._content, options, pad=False)

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a line."""
        base = self.style()
        if selected and self.has_focus:
            base += self.style("table--cursor")
        text = "".join(segment.text for segment in self._lines[index]) if selected else ""
        own = [Segment(segment.text, base + segment.style if segment.style else base) for segment in self._lines[index]]
        segments = [Segment(text, base)] if selected and self.has_focus else own
        return Strip(segments).adjust_cell_length(width, base)
