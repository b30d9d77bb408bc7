"""The checks of a run before it starts, each on as many lines as its text needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.strip import Strip

from alexplore.render.wrapping import wrap_cells
from alexplore.tui.checks import GLYPHS, Check
from alexplore.tui.widgets.cursor_list import CursorList

TITLE_CELLS = 9


@dataclass(frozen=True)
class CheckLine:
    """One line of a check, None for what was changed; `kind` is the component class of its colour."""

    check: Check | None
    head: str
    text: str
    kind: str


class CheckList(CursorList):
    """The checks of a planned run, then what was changed. The cursor stops at the first line of each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "go there", tooltip="Go to the setting at fault, or choose its folder"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "check-list--ok",
        "check-list--wrong",
        "check-list--note",
        "check-list--fix",
        "check-list--changed",
        "table--cursor",
    }

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._checks: Sequence[Check] = ()
        self._changes: Sequence[str] = ()
        self._lines: list[CheckLine] = []

    def show(self, checks: Sequence[Check], changes: Sequence[str]) -> None:
        """Show checks and changes."""
        if (checks, changes) != (self._checks, self._changes):
            self._checks, self._changes = checks, changes
            self._wrap()

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._wrap()
        super().on_resize()

    def _wrap(self) -> None:
        width = max(8, self.size.width - TITLE_CELLS - 3)
        self._lines = []
        for check in self._checks:
            head = f"{GLYPHS[check.state]} {check.title}"
            self._add(check, head, check.text, check.state, width)
            if check.state == "wrong":
                self._add(None, "", help_text(check), "fix", width)
        for number, change in enumerate(self._changes):
            self._add(None, "" if number else "≠ changed", change, "changed", width)
        self.show_lines()

    def _add(self, check: Check | None, head: str, text: str, kind: str, width: int) -> None:
        for number, line in enumerate(wrap_cells(text, width, break_on_hyphens=False) or [""]):
            self._lines.append(CheckLine(None if number else check, "" if number else head, line, kind))

    @property
    def check(self) -> Check | None:
        """The check under the cursor."""
        return self._lines[self.cursor].check if self.cursor < len(self._lines) else None

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    def is_heading(self, index: int) -> bool:
        """Return whether the cursor skips a line: it is not the first of a check."""
        return self._lines[index].check is None

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return one line of a check."""
        line = self._lines[index]
        style = self.style()
        head = self.style("table--cursor") if selected and self.has_focus else self.style(f"check-list--{line.kind}")
        text = self.style(f"check-list--{line.kind}") if line.kind in ("wrong", "fix", "changed") else style
        segments = [Segment(line.head.ljust(TITLE_CELLS + 1), head), Segment(" ", style), Segment(line.text, text)]
        return Strip(segments).adjust_cell_length(width, style)

    def copied_text(self) -> str:
        """Return the text to copy: the whole text of the check under the cursor."""
        return self.check.text if self.check else ""


def help_text(check: Check) -> str:
    """Return the key that helps with a failed check, and what it does; "" for none."""
    if check.fix is not None:
        return f"f: {check.fix.text}"
    if check.setting == "folder":
        return "⏎: choose a folder"
    return "⏎: go to the setting" if check.setting not in ("", "network") else ""
