"""The base of every list and table: lines with a cursor on one of them, and the keys and clicks that move it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from alexplore.tui.widgets.line_widget import LineWidget

FAR = 10**9  # more lines than any list has


class CursorList(ScrollView, LineWidget, can_focus=True):
    """Draws only the lines in view, so that a list of a thousand lines costs as much as one of ten.

    A subclass says how many lines there are and draws one of them; it may have headings, where the cursor does not
    stop, and a header of one line, which does not scroll.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False, tooltip="Go to the line before"),
        Binding("down,j", "move(1)", "down", show=False, tooltip="Go to the line after"),
        Binding("pageup", "page(-1)", "page up", show=False, tooltip="Go up by a screenful"),
        Binding("pagedown", "page(1)", "page down", show=False, tooltip="Go down by a screenful"),
        Binding("ctrl+u", "page(-0.5)", "half up", show=False, tooltip="Go up by half a screenful"),
        Binding("ctrl+d", "page(0.5)", "half down", show=False, tooltip="Go down by half a screenful"),
        Binding("home,g", "move(-1000000000)", "first", show=False, tooltip="Go to the first line"),
        Binding("end,G", "move(1000000000)", "last", show=False, tooltip="Go to the last line"),
    ]

    DEFAULT_CSS = """
    CursorList {
        overflow: hidden auto;
        scrollbar-size-vertical: 1;
    }
    """
    HEADER_LINES: ClassVar[int] = 0

    cursor: reactive[int] = reactive(0, init=False, repaint=False)

    @dataclass
    class Highlighted(Message):
        """The cursor moved to another line."""

        source: CursorList
        index: int

        @property
        def control(self) -> CursorList:
            """The list, for `@on(…, "#id")`."""
            return self.source

    @dataclass
    class Chosen(Message):
        """A line was double-clicked, or Enter was pressed on it in a list that binds Enter to `choose`."""

        source: CursorList
        index: int

        @property
        def control(self) -> CursorList:
            """The list, for `@on(…, "#id")`."""
            return self.source

    # What a subclass says

    @property
    @abstractmethod
    def line_count(self) -> int:
        """Return the number of lines, without the header."""

    @abstractmethod
    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a line, `width` cells wide."""

    def header_strip(self, width: int) -> Strip:
        """Return the header, which is there if `HEADER_LINES` is 1."""
        return Strip.blank(width, self.style())

    def is_heading(self, index: int) -> bool:
        """Return whether the cursor skips a line."""
        return False

    def on_header_clicked(self, x: int) -> None:
        """Do what a click on the header at column `x` means."""

    def copied_text(self) -> str:
        """Return what copying copies: the line under the cursor."""
        if not self.line_count:
            return ""
        return self.line_strip(self.cursor, False, self.size.width).text.strip()

    # Drawing

    def show_lines(self) -> None:
        """Draw everything again, after the lines changed; the cursor stays within them."""
        self.virtual_size = Size(max(1, self.size.width), self.line_count + self.HEADER_LINES)
        self.set_reactive(CursorList.cursor, self._nearest(self.cursor, 1))
        self.refresh()

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self.virtual_size = Size(max(1, self.size.width), self.line_count + self.HEADER_LINES)
        if not self._visible(self.cursor):  # a scroll costs a layout
            self.call_after_refresh(self._reveal)

    def render_line(self, y: int) -> Strip:
        """Render one line of the view."""
        width = self.size.width
        if y < self.HEADER_LINES:
            return self.header_strip(width)
        index = self._index_at(y)
        if index is None:
            return Strip.blank(width, self.style())
        return self.line_strip(index, index == self.cursor, width)

    def _index_at(self, y: int) -> int | None:
        """Return the index of the line at row `y` of the view, None for the header and below the last line."""
        index = y - self.HEADER_LINES + round(self.scroll_offset.y)
        return index if y >= self.HEADER_LINES and index < self.line_count else None

    def _visible(self, index: int) -> bool:
        first = round(self.scroll_offset.y)
        return first <= index < first + self.size.height - self.HEADER_LINES

    def _reveal(self) -> None:
        lines = 1 + self.HEADER_LINES
        self.scroll_to_region(Region(0, self.cursor, self.size.width, lines), animate=False, force=True)

    # The cursor

    def _nearest(self, index: int, step: int) -> int:
        """Return the line nearest to `index` where the cursor may stop, looking in the direction of `step` first."""
        last = self.line_count - 1
        index = max(0, min(index, last))
        for direction in (step, -step):
            at = index
            while 0 <= at <= last:
                if not self.is_heading(at):
                    return at
                at += direction
        return 0

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a line."""
        return self._nearest(cursor, 1 if cursor >= self.cursor else -1)

    def watch_cursor(self, before: int, cursor: int) -> None:
        """Scroll the line into view and report it. Only two lines are drawn if nothing scrolls."""
        if self._visible(cursor):
            first = round(self.scroll_offset.y) - self.HEADER_LINES
            self.refresh(*(Region(0, index - first, self.size.width, 1) for index in (before, cursor)))
        else:
            self._reveal()
            self.refresh()
        self.post_message(self.Highlighted(self, cursor))

    def action_move(self, step: int) -> None:
        """Move the cursor by lines."""
        self.cursor += step

    def action_page(self, screens: float) -> None:
        """Move the cursor by screenfuls."""
        self.cursor += round(screens * max(2, self.size.height - self.HEADER_LINES - 1))

    def action_choose(self) -> None:
        """Choose the line under the cursor."""
        if self.line_count and not self.is_heading(self.cursor):
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the line that was clicked; a double click chooses it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < self.HEADER_LINES:
            self.on_header_clicked(offset.x)
            return
        index = self._index_at(offset.y)
        if index is None or self.is_heading(index):
            return
        self.cursor = index
        if event.chain == 2:
            self.action_choose()
