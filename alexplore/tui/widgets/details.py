"""Labelled lines about one thing; a long text continues on the next line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip

from alexplore.core.formatting import with_ellipsis
from alexplore.runs.messages import STATE_GLYPHS
from alexplore.tui.columns import fit
from alexplore.tui.run_details import Detail
from alexplore.tui.widgets.line_widget import LineWidget

LABEL = 11  # cells, with the gap after them
MOST_LINES = 4  # of one fact
Row = tuple[str, str, str]  # label, text, state


class Details(LineWidget):
    """Shows as many facts as there is room for. Only lines that changed are drawn, without a layout."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"details--label", *(f"details--{state}" for state in STATE_GLYPHS)}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._facts: Sequence[Detail] = ()
        self._rows: list[Row] = []

    def show(self, facts: Sequence[Detail]) -> None:
        """Show other facts."""
        self._facts = facts
        before, self._rows = self._rows, self._wrapped()
        height = self.size.height
        changed = [
            y
            for y in range(min(height, max(len(before), len(self._rows))))
            if before[y : y + 1] != self._rows[y : y + 1]
        ]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._rows = self._wrapped()
        self.refresh()

    @property
    def _indent(self) -> int:
        """The cells before a text: none if no fact has a label."""
        return LABEL if any(fact.label for fact in self._facts) else 0

    def _wrapped(self) -> list[Row]:
        room = max(2, self.size.width - self._indent)
        rows: list[Row] = []
        for fact in self._facts:
            lines = [line.plain.rstrip() for line in Text(fact.text).wrap(self.app.console, room)] or [""]
            most = max(1, min(MOST_LINES, self.size.height - len(rows)))
            if len(lines) > most:
                lines = [*lines[: most - 1], with_ellipsis(lines[most - 1][: room - 1])]
            rows += [(fact.label if number == 0 else "", line, fact.state) for number, line in enumerate(lines)]
        height = self.size.height
        if len(rows) > height > 1:
            rows = [*rows[: height - 1], ("", f"… {len(rows) - height + 1} more lines", "")]
        return rows

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        width, style = self.size.width, self.style()
        if y >= len(self._rows):
            return Strip.blank(width, style)
        label, text, state = self._rows[y]
        colour = self.style(f"details--{state}") if state in STATE_GLYPHS else style
        segments = [Segment(fit(label, self._indent, left=True), self.style("details--label")), Segment(text, colour)]
        return Strip(segments).adjust_cell_length(width, style)
