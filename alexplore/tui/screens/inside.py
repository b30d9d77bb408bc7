"""Inside: what the network of the watched run looks like, epoch by epoch, while it trains and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.worker import get_current_worker

from alexplore.core.errors import AlexploreError
from alexplore.runs.data.image_layout import SUFFIXES
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.inside import InsideEpoch, InsideError, load_epoch
from alexplore.runs.look import Look, look
from alexplore.runs.look_request import LookRequest
from alexplore.tui.columns import fit
from alexplore.tui.inside_lines import Listed, drawn, listed
from alexplore.tui.inside_state import VIEWS, InsideReader, InsideState, Reading, first_reading
from alexplore.tui.picture_lines import Draw, Drawn, half_block_lines
from alexplore.tui.polling import pause
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.screens.look import LookScreen
from alexplore.tui.state import Mode
from alexplore.tui.watched_run import WatchedRun
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.inside_picture import InsidePicture
from alexplore.tui.widgets.line_widget import LineWidget

POLL_SECONDS = 1.0


@dataclass
class FolderRead(Message):
    """The run's folder was read."""

    reading: Reading

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is an older state."""
        return isinstance(message, FolderRead)


@dataclass
class FolderUnreadable(Message):
    """The run can't be read."""

    reason: str


@dataclass
class Looked(Message):
    """The network has classified the user's image."""

    found: Look


@dataclass
class EpochLoaded(Message):
    """The records of an epoch were read, or can't be read."""

    epoch: int
    shown: InsideEpoch | None
    problem: str = ""


class ViewBar(LineWidget):
    """The names of the views in a line, the current one highlighted; below it the scrubber."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"view-bar--current", "view-bar--faint"}

    @dataclass
    class Clicked(Message):
        """The name of a view was clicked."""

        view: str

    def __init__(self, run: str) -> None:
        super().__init__(id="views")
        self._run = run
        self._view, self._scrubber = VIEWS[0], ""

    def show(self, view: str, scrubber: str) -> None:
        """Show the name of the current view, and the epoch."""
        if view != self._view:
            self._view = view
            self.refresh(Region(0, 0, self.size.width, 1))
        if scrubber != self._scrubber:
            self._scrubber = scrubber
            self.refresh(Region(0, 1, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Render one of the two lines."""
        width = self.size.width
        if y == 1:
            return Strip([Segment(f" {self._scrubber}", self.style())]).adjust_cell_length(width, self.style())
        segments = [Segment(" ", self.style())]
        for view in VIEWS:
            style = self.style("view-bar--current" if view == self._view else "view-bar--faint")
            segments += [Segment(f" {view.capitalize()} ", style), Segment(" ", self.style())]
        room = max(0, width - sum(segment.cell_length for segment in segments))
        return Strip([*segments, Segment(fit(f"{self._run} ", room), self.style())])

    def on_click(self, event: events.Click) -> None:
        """Report the view whose name was clicked."""
        offset = event.get_content_offset(self)
        left = 1
        for view in VIEWS:
            if offset is not None and offset.y == 0 and left <= offset.x < left + len(view) + 2:
                self.post_message(self.Clicked(view))
            left += len(view) + 3


class InsideList(CursorList):
    """The layers, maps, confused pairs or mistakes, laid out for the width that the list has when it is painted.

    Only lines that look different are drawn again.
    """

    HEADER_LINES = 1
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor", "table--header", "inside--careful"}

    def __init__(self, source: Callable[[int], Listed]) -> None:
        super().__init__(id="inside-list", classes="frame")
        self._source = source
        self._listed = Listed("", "", ())
        self._width = 0

    @property
    def shown(self) -> Listed:
        """The lines for the current width."""
        if self._width != self.size.width:
            self._width = self.size.width
            self._listed = self._source(max(10, self._width))
        return self._listed

    def update_lines(self) -> None:
        """Show the current state of the source; the cursor stays in its line."""
        before, self._width = self._listed, 0
        now = self.shown
        if before.header == now.header and len(before.rows) == len(now.rows):
            for index, (one, other) in enumerate(zip(before.rows, now.rows, strict=True)):
                if one != other:
                    self.refresh_at(index)
        else:
            self.show_lines()
        self.write_frame(now.title)

    def turn_to(self, cursor: int) -> None:
        """Show other lines, with the cursor on one of them."""
        self._width = 0
        self.filter.clear()
        self.set_reactive(CursorList.cursor, cursor)
        self.scroll_to(y=0, animate=False, force=True, immediate=True)
        self.show_lines()
        self.call_after_refresh(self._reveal)

    @property
    def line_count(self) -> int:
        """The number of rows."""
        return len(self.shown.rows)

    def header_strip(self, width: int) -> Strip:
        """Return the titles of the columns."""
        style = self.style("table--header")
        return Strip([Segment(self.shown.header, style)]).adjust_cell_length(width, style)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a row."""
        row = self.shown.rows[index]
        style = self.style(f"inside--{row.kind}") if row.kind else self.style()
        if selected:
            style += self.style("table--cursor")
        return Strip([Segment(row.text, style)]).adjust_cell_length(width, style)

    def copied_text(self) -> str:
        """Return the row under the cursor as text."""
        return self.shown.rows[self.cursor].copied if self.cursor < self.line_count else ""


class InsideScreen(FrameScreen):
    """Shows one of the views of an epoch; the scrubber moves them all, and the cursor of Train's curves."""

    CSS_PATH = "inside.tcss"
    MODE: ClassVar[Mode | None] = "train"
    AUTO_FOCUS = "#inside-list"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "turn(1)", "next view", tooltip="Layers, kernels, maps, confusion, mistakes"),
        Binding("V", "turn(-1)", "view before", show=False, tooltip="Show the view before"),
        # Each key apart: the arrows move the unit while one is selected.
        Binding("left", "scrub(-1)", "epoch", key_display="←→", tooltip="Go back by an epoch"),
        Binding(
            "right",
            "scrub(1)",
            "next epoch",
            show=False,
            tooltip="Go on by an epoch; at the newest, follow the training",
        ),
        Binding("left_square_bracket", "scrub(-1)", "back", show=False, tooltip="Go back by an epoch"),
        Binding("right_square_bracket", "scrub(1)", "ahead", show=False, tooltip="Go on by an epoch"),
        Binding("shift+left", "scrub(-10)", "ten back", show=False, tooltip="Go back by ten epochs"),
        Binding("shift+right", "scrub(10)", "ten ahead", show=False, tooltip="Go on by ten epochs"),
        Binding("i", "image", "image…", tooltip="Look at an image of your own: evidence for its class, and maps"),
        Binding("u", "unit", "unit", tooltip="Select a unit of the maps: the pixels that it sees are outlined"),
        Binding("0", "follow", "newest", tooltip="Show the newest epoch, and each later one when it ends"),
        Binding("escape", "pop_screen", "back", tooltip="Go back to the curves"),
    ]

    def __init__(self, watched: WatchedRun, draw: Draw = half_block_lines) -> None:
        """Show the network of a watched run; `draw` draws its pictures."""
        super().__init__()
        self._watched = watched
        self._draw_picture_lines = draw
        self._state = InsideState(watched.run)
        self._cursors = dict.fromkeys(VIEWS, 0)
        self._last_folder = ""  # where the last image was chosen

    def compose_body(self) -> ComposeResult:
        """Put the views and the scrubber above the list and the picture of its selected line."""
        yield ViewBar(self._watched.run.name)
        with Horizontal(id="inside", classes=VIEWS[0]):
            yield InsideList(lambda width: listed(self._state, width))
            yield InsidePicture(self._picture)

    def on_mount(self) -> None:
        """Show the epoch that was chosen before, with what Train knows of the run until its folder was read."""
        self._state.wanted = self._watched.scrubbed
        if self._watched.snapshot is not None:
            self._state.take(first_reading(self._watched.snapshot))
            self._load_wanted()
        self._draw()

    def on_screen_resume(self) -> None:
        """Read the folder for as long as the screen is visible."""
        self._poll(self._watched.run)

    def on_screen_suspend(self) -> None:
        """Stop reading."""
        self.workers.cancel_group(self, "poll")

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    # Reading

    @work(thread=True, exclusive=True, group="poll")
    def _poll(self, run: RunDirectory) -> None:
        worker, last = get_current_worker(), None
        try:
            reader = InsideReader(run)
        except RunError as error:
            self.post_message(FolderUnreadable(str(error)))
            return
        while not worker.is_cancelled and self.is_running:
            reading = reader.read()
            if reading is not last:
                last = reading
                self.post_message(FolderRead(reading))
            pause(worker, 0.0 if reader.behind else POLL_SECONDS)

    @work(thread=True, exclusive=True, group="load")
    def _load(self, run: RunDirectory, epoch: int) -> None:
        try:
            self.post_message(EpochLoaded(epoch, load_epoch(run, epoch)))
        except InsideError as error:
            self.post_message(EpochLoaded(epoch, None, str(error)))

    @on(FolderRead)
    def _folder_read(self, event: FolderRead) -> None:
        if self._state.take(event.reading):
            self._load_wanted()
        self._draw()

    @on(FolderUnreadable)
    def _folder_unreadable(self, event: FolderUnreadable) -> None:
        self._state.problem = event.reason
        self._draw()

    @on(EpochLoaded)
    def _epoch_loaded(self, event: EpochLoaded) -> None:
        self._state.show(event.epoch, event.shown, event.problem)
        self._draw()

    def _load_wanted(self) -> None:
        if self._state.epoch is not None:
            self._load(self._state.run, self._state.epoch)

    # The user's own image

    @work
    async def action_image(self) -> None:
        """Ask for an image file, and show how the network classifies it."""
        path = await self.app.push_screen_wait(Browse("An image to look at", self._last_folder, SUFFIXES))
        if path is not None:
            self._last_folder = str(path.parent)
            layer = self._state.mapped_layer(self.query_one(InsideList).cursor)
            self.show_outcome(f"asking the network about {path.name} …")
            self._look(LookRequest(image=str(path), layer=layer, cam="guess"))

    @work(thread=True, exclusive=True, group="look")
    def _look(self, request: LookRequest) -> None:
        worker = get_current_worker()
        try:
            found = look(self._state.run.path, request)
        except AlexploreError as error:
            self.notify(str(error), severity="error")
            return
        if not worker.is_cancelled:
            self.post_message(Looked(found))

    @on(Looked)
    def _show_look(self, event: Looked) -> None:
        self.show_outcome("")
        assert self._state.reading is not None
        self.app.push_screen(
            LookScreen(event.found, self._state.reading.snapshot.config.network, self._draw_picture_lines)
        )

    # Drawing

    def _picture(self, width: int, height: int) -> Drawn:
        return drawn(self._state, self.query_one(InsideList).cursor, width, height, self._draw_picture_lines)

    def _draw(self) -> None:
        """Draw everything; only lines that differ are written."""
        with self.app.batch_update():
            self.query_one(ViewBar).show(self._state.view, self._state.scrub_text(max(10, self.size.width - 2)))
            if self.query_one(InsideList).display:
                self.query_one(InsideList).update_lines()
            self._draw_picture()

    @on(CursorList.Highlighted, "#inside-list")
    def _draw_picture(self) -> None:
        if self.query_one(InsidePicture).size.width:
            self.query_one(InsidePicture).update_lines()

    # Keys

    def action_turn(self, steps: int) -> None:
        """Show another view."""
        self._turn_to(VIEWS[(VIEWS.index(self._state.view) + steps) % len(VIEWS)])

    @on(ViewBar.Clicked)
    def _view_clicked(self, event: ViewBar.Clicked) -> None:
        self._turn_to(event.view)

    def action_unit(self) -> None:
        """Select a unit of the maps; from another view, show the maps."""
        if self._state.view != "maps":
            self._turn_to("maps")
        if not self._state.choose_unit(self.query_one(InsideList).cursor):
            self.notify("no feature maps were recorded of this epoch", severity="warning")
            return
        picture = self.query_one(InsidePicture)
        picture.choosing = True
        picture.focus()
        self._draw()

    @on(InsidePicture.UnitMoved)
    def _move_unit(self, event: InsidePicture.UnitMoved) -> None:
        self._state.move_unit(self.query_one(InsideList).cursor, event.by)
        self._draw_picture()

    @on(InsidePicture.UnitLeft)
    def _leave_unit(self) -> None:
        self._state.unit = None
        self.query_one(InsidePicture).choosing = False
        self.query_one(InsideList).focus()
        self._draw_picture()

    def _turn_to(self, view: str) -> None:
        lines, picture = self.query_one(InsideList), self.query_one(InsidePicture)
        self._state.unit, picture.choosing = None, False
        self._cursors[self._state.view] = lines.cursor
        self._state.view = view
        with self.app.batch_update():
            self.query_one("#inside").set_classes(view)
            lines.display = view != "kernels"
            lines.turn_to(self._cursors[view])
            picture.turn()
            (lines if lines.display else picture).focus()
        self.call_after_refresh(self._draw)  # titles for the new widths of their frames

    def action_scrub(self, steps: int) -> None:
        """Move to another epoch."""
        if self._state.scrub(steps):
            self._moved()

    def action_follow(self) -> None:
        """Show the newest epoch, and each later one."""
        self._state.wanted = None
        self._moved()

    def _moved(self) -> None:
        self._watched.scrubbed = self._state.wanted
        self._state.problem = ""
        self._load_wanted()
