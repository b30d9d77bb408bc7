"""A plot of curves with keys for zoom, a cursor that shows values, and a logarithmic axis."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip

from alexplore.tui.canvas import BLANK, Cell
from alexplore.tui.palette import SERIES
from alexplore.tui.plot import AXIS, BAND, TICK, Drawing, Plot, View
from alexplore.tui.widgets.line_widget import LineWidget

CURSOR = "┊"
ZOOM = 2.0
FAR = 10**6  # more characters than the values of all lines take
COLOURS = (*SERIES, "series-1-faint", AXIS, TICK, BAND)


class Curves(LineWidget, can_focus=True):
    """Draws a plot. The keys choose the part that is shown, which stays the same when the lines grow.

    Only cells that change are written to the terminal. The lower frame shows the values at the cursor.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(1)", "zoom in", key_display="+", tooltip="Show half as long a part"),
        Binding("minus,underscore", "zoom(-1)", "out", key_display="-", tooltip="Show twice as long a part"),
        Binding("left", "read(-1)", "read", key_display="←→", tooltip="Read the values at the point before"),
        Binding("right", "read(1)", "next point", show=False, tooltip="Read the values at the next point"),
        Binding("shift+left", "read(-10)", "back", show=False, tooltip="Go back by ten points"),
        Binding("shift+right", "read(10)", "ahead", show=False, tooltip="Go ahead by ten points"),
        Binding("0", "whole", "whole", tooltip="Show the whole run, without the cursor"),
        Binding("l", "logarithmic", "log", tooltip="Use a logarithmic axis for the values, or a plain one"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"curves--{name}" for name in COLOURS}

    DEFAULT_CSS = """
    Curves {
        min-height: 5;
        .curves--series-1 { color: $series-1; }
        .curves--series-2 { color: $series-2; }
        .curves--series-3 { color: $series-3; }
        .curves--series-4 { color: $series-4; }
        .curves--series-5 { color: $series-5; }
        .curves--series-6 { color: $series-6; }
        .curves--series-1-faint { color: $series-1-faint; }
        .curves--axis, .curves--band { color: $frame; }
        .curves--tick { color: $faint; }
    }
    """

    def __init__(self, title: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id, classes="frame")
        self._title, self._plot, self._view = title, Plot(), View()
        self._drawing: Drawing | None = None

    # Set by screens

    @property
    def view(self) -> View:
        """The part of the plot that is shown."""
        return self._view

    def draw(self, plot: Plot, title: str | None = None) -> None:
        """Draw other lines; the part that is shown and the cursor stay if the unit of the axis does.

        Args:
            plot: What to draw.
            title: The title of the frame if it is to change.
        """
        if title is not None:
            self._title = title
        if plot.unit != self._plot.unit:
            self._view = View(logarithmic=self._view.logarithmic)
        self._plot = plot
        self._redraw()

    def read_at(self, x: float | None) -> None:
        """Move the cursor to `x` of the axis, or remove it."""
        self._look(self._view.with_cursor(self._plot, x))

    def show_logarithmic(self, logarithmic: bool) -> None:
        """Use a logarithmic axis, or a plain one."""
        self._look(replace(self._view, logarithmic=logarithmic))

    # Drawing

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._drawing = None
        self._redraw()

    def on_focus(self) -> None:
        """Show the keys."""
        self._show_frame()

    def on_blur(self) -> None:
        """Hide the keys."""
        self._show_frame()

    def _look(self, view: View) -> None:
        """Show another part, or the same with another cursor."""
        before, self._view = self._view, view
        if (before.part, before.logarithmic) != (view.part, view.logarithmic):
            self._redraw(before)
        elif self._drawing is not None and before.x != view.x:
            self._drawing.view = view
            self._refresh_cursor(before)
            self._show_frame()

    def _redraw(self, before: View | None = None) -> None:
        """Draw everything; write only what differs."""
        width, height = self.size
        if not width or not height:
            return
        old = self._drawing
        self._drawing = Drawing(self._plot, self._view, width, height)
        self._refresh_changes(old)
        if before is not None:
            self._refresh_cursor(before, old)
        self._show_frame()

    def _refresh_changes(self, old: Drawing | None) -> None:
        assert self._drawing is not None
        if old is None or len(old.rows) != len(self._drawing.rows):
            self.refresh()
            return
        regions = []
        for y, (before, now) in enumerate(zip(old.rows, self._drawing.rows, strict=True)):
            changed = [x for x, (one, other) in enumerate(zip(before, now, strict=False)) if one != other]
            if changed:
                regions.append(Region(changed[0], y, changed[-1] - changed[0] + 1, 1))
        if regions:
            self.refresh(*regions)

    def _refresh_cursor(self, before: View, old: Drawing | None = None) -> None:
        drawing = self._drawing
        assert drawing is not None
        places = ((old or drawing, before.x), (drawing, self._view.x))
        columns = {drawn.column(x) for drawn, x in places if x is not None} - {None}
        if columns:
            self.refresh(*(Region(column, 0, 1, drawing.down) for column in columns if column is not None))

    def render_line(self, y: int) -> Strip:
        """Render one row of cells."""
        width = self.size.width
        drawing = self._drawing
        if drawing is None or y >= len(drawing.rows):
            return Strip.blank(width, self.style())
        row = drawing.rows[y]
        segments: list[Segment] = []
        at = drawing.column(self._view.x) if self._view.x is not None and y < drawing.down else None
        parts = [row] if at is None else [row[:at], row[at : at + 1], row[at + 1 :]]
        for number, part in enumerate(parts):
            segments += self._cursor_segments(part) if number == 1 else self._segments(part)
        return Strip(segments).adjust_cell_length(width, self.style())

    def _segments(self, cells: list[Cell]) -> list[Segment]:
        return [
            Segment("".join(character for character, _ in group), self._colour(name))
            for name, group in groupby(cells, key=lambda cell: cell[1])
        ]

    def _cursor_segments(self, cells: list[Cell]) -> list[Segment]:
        return [
            Segment(CURSOR, self._colour(TICK)) if cell == BLANK else Segment(cell[0], self._cursor_style(cell[1]))
            for cell in cells
        ]

    def _cursor_style(self, name: str) -> Style:
        return self._colour(name) + Style(reverse=True)

    def _colour(self, name: str) -> Style:
        return self.style(f"curves--{name}") if name else self.style()

    # The frame

    def _frame_texts(self) -> tuple[str, str]:
        """Return the title, with the key that shows the whole run again, and the values at the cursor or the keys."""
        title = f"{self._title} · log" if self._view.logarithmic else self._title
        if self._view.part is not None:
            title += " · zoomed · 0 whole"
        if self._drawing is not None and self._view.x is not None:
            return title, self._drawing.readings(max(0, self.size.width - 2))
        return title, "+ − zoom  ← → read  l log" if self.has_focus else ""

    def _show_frame(self) -> None:
        self.write_frame(*self._frame_texts())

    def copied_text(self) -> str:
        """Return the text to copy: the values at the cursor, or else at the newest point."""
        drawing = self._drawing
        if drawing is None or not any(points.x for points in self._plot.drawn):
            return ""
        x = self._view.x if self._view.x is not None else drawing.step(None, 0)
        return f"{self._title}: {drawing.readings(FAR, x)}"

    # Keys and mouse

    def action_zoom(self, steps: int) -> None:
        """Show a part of the axis that is half as long for each step, or twice as long."""
        self._look(self._view.zoomed(self._plot, ZOOM**-steps))

    def action_read(self, points: int) -> None:
        """Move the cursor by points."""
        if self._drawing is not None:
            x = self._drawing.step(self._view.x, points)
            self._look(self._view.with_cursor(self._plot, x))

    def action_whole(self) -> None:
        """Show the whole run, without the cursor."""
        self._look(View(logarithmic=self._view.logarithmic))

    def action_logarithmic(self) -> None:
        """Use the other kind of axis."""
        self.show_logarithmic(not self._view.logarithmic)

    def on_click(self, event: events.Click) -> None:
        """Read the values at the pointer."""
        offset = event.get_content_offset(self)
        drawing = self._drawing
        if offset is None or drawing is None or not drawing.left <= offset.x < drawing.left + drawing.across:
            return
        self._look(self._view.with_cursor(self._plot, drawing.x_at(offset.x)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in at the pointer if the plot has the focus."""
        self._scroll_zoom(event, 1 / ZOOM)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out at the pointer if the plot has the focus."""
        self._scroll_zoom(event, ZOOM)

    def _scroll_zoom(self, event: events.MouseEvent, factor: float) -> None:
        offset = event.get_content_offset(self)
        if self.has_focus and offset is not None and self._drawing is not None:
            event.stop()
            self._look(self._view.zoomed(self._plot, factor, self._drawing.x_at(offset.x)))
