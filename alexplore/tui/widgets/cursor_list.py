"""The base of every list and table: lines with a cursor on one of them, and the keys and clicks that move it."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from alexplore.tui.named_keys import editing_keys, typing_key
from alexplore.tui.widgets.line_widget import LineWidget
from alexplore.tui.word_filter import WordFilter, contains_words

FAR = 10**9  # more lines than any list has
SIDEWAYS = ("scroll_left", "scroll_right", "page_left", "page_right")
"""Actions of Textual's views that do nothing here: no list is wider than its pane."""


class CursorList(ScrollView, LineWidget, can_focus=True):
    """Draws only the lines in view, so that a list of a thousand lines costs as much as one of ten.

    A subclass returns the number of lines and draws a line by its index. It may have headings, where the cursor does
    not stop, and a header of one line, which does not scroll. A filter does not change the indices of lines.
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
        Binding("slash", "filter", "filter", show=False, tooltip="List only the lines that contain some words"),
        Binding("escape", "clear_filter", "all lines", show=False, tooltip="List every line again"),
    ]

    DEFAULT_CSS = """
    CursorList {
        overflow: hidden auto;
        scrollbar-size-vertical: 1;
    }
    """
    HEADER_LINES: ClassVar[int] = 0
    FILTERED: ClassVar[bool] = True  # whether / filters the lines
    ENTER_CHOOSES: ClassVar[bool] = False  # whether Enter, while words are typed, chooses the line under the cursor

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

    # Defined by subclasses

    @property
    @abstractmethod
    def line_count(self) -> int:
        """Return the number of lines, without the header."""

    @abstractmethod
    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a line, `width` cells wide."""

    def header_strip(self, width: int) -> Strip:
        """Return the header, which is shown if `HEADER_LINES` is 1."""
        return Strip.blank(width, self.style())

    def is_heading(self, index: int) -> bool:
        """Return whether the cursor skips a line."""
        return False

    def on_header_clicked(self, x: int) -> None:
        """Handle a click on the header at column `x`."""

    def copied_text(self) -> str:
        """Return the text to copy: the line under the cursor."""
        if not self.line_count:
            return ""
        return self.line_strip(self.cursor, False, self.size.width).text.strip()

    def contains(self, index: int, words: str) -> bool:
        """Return whether a filter by some words lists a line."""
        if self.is_heading(index):
            return False
        return contains_words(self.line_strip(index, False, max(80, self.size.width)).text, words)

    # Rows: the lines that are listed

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.filter = WordFilter()

    @property
    def row_count(self) -> int:
        """The number of lines that are listed."""
        return self.line_count if self.filter.lines is None else len(self.filter.lines)

    @property
    def header_lines(self) -> int:
        """The number of lines above the first row: the filter, if there is one, and the header."""
        return self.HEADER_LINES + self.filter.active

    def line_at(self, row: int) -> int:
        """Return the index of the line in a row."""
        return row if self.filter.lines is None else self.filter.lines[row]

    def row_of(self, index: int) -> int:
        """Return the row of a line; of one that is not listed, the row where it would be."""
        return index if self.filter.lines is None else bisect_left(self.filter.lines, index)

    def is_listed(self, index: int) -> bool:
        """Return whether a line is listed."""
        row = self.row_of(index)
        return row < self.row_count and self.line_at(row) == index

    # Drawing

    def show_lines(self) -> None:
        """Draw everything again, after the lines changed; the cursor stays within them."""
        self._apply_filter()
        self._set_size()
        self.set_reactive(CursorList.cursor, self._nearest(self.row_of(self.cursor), 1))
        self.refresh()

    def _set_size(self) -> None:
        self.virtual_size = Size(max(1, self.size.width), self.row_count + self.header_lines)

    def on_resize(self) -> None:
        """Draw for the new size; keep the cursor in view."""
        self._set_size()
        self.refresh()
        if not self._visible(self.cursor):  # a scroll costs a layout
            self.call_after_refresh(self._reveal)

    def render_line(self, y: int) -> Strip:
        """Render one line of the view, beside the scrollbar if there is one: it lies over the content."""
        width = self.scrollable_content_region.width
        if y < self.header_lines:
            return self.header_strip(width) if y >= self.filter.active else self._filter_strip(width)
        index = self._index_at(y)
        if index is None:
            return Strip.blank(width, self.style())
        return self.line_strip(index, index == self.cursor, width)

    def _filter_strip(self, width: int) -> Strip:
        lines = [index for index in range(self.line_count) if not self.is_heading(index)]
        text = self.filter.text(sum(map(self.is_listed, lines)), len(lines))
        return Strip([Segment(f" {text}", self.style())]).adjust_cell_length(width, self.style())

    def _index_at(self, y: int) -> int | None:
        """Return the index of the line at row `y` of the view, None for the header and below the last line."""
        row = y - self.header_lines + round(self.scroll_offset.y)
        return self.line_at(row) if y >= self.header_lines and row < self.row_count else None

    def refresh_at(self, index: int) -> None:
        """Draw the line at an index again, if it is in view."""
        if self._visible(index):
            top = self.header_lines - round(self.scroll_offset.y)
            self.refresh(Region(0, self.row_of(index) + top, self.size.width, 1))

    def _visible(self, index: int) -> bool:
        first = round(self.scroll_offset.y)
        return first <= self.row_of(index) < first + self.size.height - self.header_lines

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Set the position of the bar, which Textual does not update while the bar is hidden."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    def _reveal(self) -> None:
        lines = 1 + self.header_lines
        self.scroll_to_region(Region(0, self.row_of(self.cursor), self.size.width, lines), animate=False, force=True)

    # The cursor

    def _nearest(self, row: int, step: int) -> int:
        """Return the line nearest to `row` where the cursor may stop, looking in the direction of `step` first."""
        last = self.row_count - 1
        row = max(0, min(row, last))
        for direction in (step, -step):
            at = row
            while 0 <= at <= last:
                index = self.line_at(at)
                if not self.is_heading(index):
                    return index
                at += direction
        return 0

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a line; if the filter hides that line, clear the filter."""
        if 0 <= cursor < self.line_count and not self.is_listed(cursor) and not self.is_heading(cursor):
            self.action_clear_filter()
        return self._nearest(self.row_of(cursor), 1 if cursor >= self.cursor else -1)

    def watch_cursor(self, before: int, cursor: int) -> None:
        """Scroll the line into view and report it. Only two lines are drawn if nothing scrolls."""
        if self._visible(cursor):
            for index in (before, cursor):
                self.refresh_at(index)
        else:
            self._reveal()
            self.refresh()
        self.post_message(self.Highlighted(self, cursor))

    def action_move(self, step: int) -> None:
        """Move the cursor by rows."""
        if self.row_count:
            self.cursor = self._nearest(self.row_of(self.cursor) + step, 1 if step > 0 else -1)

    def action_page(self, screens: float) -> None:
        """Move the cursor by screenfuls."""
        self.action_move(round(screens * max(2, self.size.height - self.header_lines - 1)))

    def action_choose(self) -> None:
        """Choose the line under the cursor."""
        if self.row_count and not self.is_heading(self.cursor):
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the line that was clicked; a double click chooses it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < self.header_lines:
            if offset.y >= self.filter.active:
                self.on_header_clicked(offset.x)
            return
        index = self._index_at(offset.y)
        if index is None or self.is_heading(index):
            return
        self.cursor = index
        if event.chain == 2:
            self.action_choose()

    # The filter

    def _apply_filter(self) -> None:
        self.filter.apply(self.line_count, self.contains)
        if not self.row_count and not self.filter.typing:  # the cursor would not be visible
            self.filter.clear()

    def _filter_changed(self) -> None:
        """List the lines that contain what is typed; the cursor stays on its line if that is one of them."""
        before = self.cursor
        self.show_lines()
        self.call_after_refresh(self._reveal)
        if self.cursor != before:
            self.post_message(self.Highlighted(self, self.cursor))
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Type words; the list shows the lines that contain them."""
        self.filter.typing = True
        self._filter_changed()

    def action_clear_filter(self) -> None:
        """List every line again."""
        if self.filter.active:
            self.filter.clear()
            self._filter_changed()

    def _end_typing(self) -> None:
        if self.filter.typing:
            self.filter.typing = False
            self._filter_changed()

    def on_blur(self) -> None:
        """End typing, and keep the words."""
        self._end_typing()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key works: without a filter, Escape has another action."""
        if action in SIDEWAYS:
            return False
        if action == "filter":
            return self.FILTERED and not self.filter.typing
        return action != "clear_filter" or self.filter.active

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Return whether a key is typed into the filter, so that the footer does not show its binding."""
        return self.filter.typing and character is not None and character.isprintable()

    def typing_keys(self) -> Mapping[str, Binding]:
        """Return the bindings of keys while words are typed."""
        if not self.filter.typing:
            return {}
        keep = typing_key("keep", "Go to the lines that contain the words", show=True)
        keys = {"down": keep} if self.ENTER_CHOOSES else {"enter": keep, "down": keep}
        return {**keys, "up": typing_key("up", "Go to the line before"), **editing_keys()}

    def on_key(self, event: events.Key) -> None:
        """Type into the filter: Enter and down end it, up moves the cursor."""
        if not self.filter.typing or event.key == "escape":
            return
        if event.key in ("enter", "down"):
            if self.row_count:
                self._end_typing()
                if event.key == "enter" and self.ENTER_CHOOSES:
                    return  # to the binding of Enter
        elif event.key == "up":
            self.action_move(-1)
        elif self.filter.press(event.key, event.character):
            self._filter_changed()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Insert the first pasted line into the filter."""
        if self.filter.typing and event.text:
            event.stop()
            self.filter.entry.insert(event.text.splitlines()[0])
            self._filter_changed()
