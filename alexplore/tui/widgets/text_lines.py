"""Lines of text, each with its colour, folded or wrapped to the width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from alexplore.core.formatting import cut, with_ellipsis
from alexplore.render.wrapping import wrap_cells
from alexplore.tui.widgets.line_widget import LineWidget

SEPARATOR = " · "


@dataclass(frozen=True)
class TextLine:
    """Parts, of which the last ones are left out if there is no room, and the first of `right` that fits at the right.

    The first part is always shown. `kind` gives the colour: "", faint, changed or error. A line that `wraps` shows all
    of its parts, on as many lines as they need.
    """

    parts: Sequence[str]
    right: Sequence[str] = ()
    kind: str = ""
    wraps: bool = False


class TextLines(LineWidget):
    """Shows lines of text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"text-lines--faint", "text-lines--changed", "text-lines--error"}

    def __init__(self, *, fixed: bool = False, id: str | None = None) -> None:
        """Follow the number of lines with the height, unless it is `fixed` by the stylesheet."""
        super().__init__(id=id)
        self._fixed = fixed
        self._lines: Sequence[TextLine] = ()
        self._shown: list[tuple[str, str, str]] = []
        self._height = 0

    def show(self, lines: Sequence[TextLine]) -> None:
        """Show lines."""
        if lines != self._lines:
            self._lines = lines
            self._arrange()
            self.refresh()

    def on_resize(self) -> None:
        """Fold and wrap to the new width."""
        self._arrange()
        self.refresh()

    def _arrange(self) -> None:
        width = max(10, (self.size.width or 80) - 2)
        self._shown = [shown for line in self._lines for shown in _arranged(line, width)]
        if self._fixed and 0 < self.size.height < len(self._shown):
            last, right, kind = self._shown[self.size.height - 1]
            self._shown[self.size.height - 1 :] = [(with_ellipsis(last[: width - 1]), right, kind)]
        if self._lines and not self._fixed and self._height != len(self._shown):
            self._height = len(self._shown)
            self.styles.height = self._height

    @property
    def text(self) -> str:
        """The text that is shown."""
        return "\n".join(f"{left} {right}".strip() for left, right, _ in self._shown)

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        left, right, kind = self._shown[y] if y < len(self._shown) else ("", "", "")
        style = self.style(f"text-lines--{kind}") if kind else self.style()
        gap = max(0, self.size.width - 2 - cell_len(left) - cell_len(right))
        faint = self.style("text-lines--faint")
        segments = [Segment(f" {left}", style), Segment(" " * gap, self.style()), Segment(right, faint)]
        return Strip(segments).adjust_cell_length(self.size.width, self.style())


def folded(parts: Sequence[str], width: int) -> str:
    """Return parts in one line, those that fit into `width` cells; the first one is always there."""
    kept = list(parts)
    while len(kept) > 1 and cell_len(SEPARATOR.join(kept)) > width:
        kept.pop()
    text = SEPARATOR.join(kept)
    return text if cell_len(text) <= width else cut(text, width)


def _arranged(line: TextLine, width: int) -> Iterator[tuple[str, str, str]]:
    if line.wraps:
        whole = SEPARATOR.join(line.parts)
        yield from ((one, "", line.kind) for one in wrap_cells(whole, width, break_on_hyphens=False) or [""])
        return
    text = folded(line.parts, width)
    right = next((one for one in line.right if cell_len(one) + 2 <= width - cell_len(text)), "")
    yield text, right, line.kind
