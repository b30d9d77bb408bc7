"""The base of every screen that fills the terminal: modes above, outcomes and keys below."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from textual.app import ComposeResult
from textual.events import Mount
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from alexplore.tui.messages import OverviewRequested
from alexplore.tui.named_keys import NamedKeys
from alexplore.tui.screens.closing import ClosesOnce
from alexplore.tui.state import Mode
from alexplore.tui.widgets.key_bar import KeyBar
from alexplore.tui.widgets.line_widget import LineWidget
from alexplore.tui.widgets.mode_bar import ModeBar
from alexplore.tui.widgets.status_line import StatusLine

LEAST_HEIGHT = 16
"""Lines of a terminal from which there is room for curves above or below a list."""


class FrameScreen(NamedKeys, ClosesOnce[None], Screen[None]):
    """A screen with the line of modes, its own body, the status line and the keys.

    `MODE` is the mode that it belongs to, None for a page that is shown above one.
    """

    MODE: ClassVar[Mode | None] = None

    # A widget that gets or loses the focus repaints itself; Textual would repaint the whole screen as well.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def _on_mount(self, _: Mount) -> None:
        """After each layout, report the sizes that Textual has not reported to the widgets."""
        self.screen_layout_refresh_signal.subscribe(self, lambda _: self.call_after_refresh(self._report_sizes))

    def _report_sizes(self) -> None:
        for widget in self.walk_children():  # a query finds a class only if it is the first base
            if isinstance(widget, LineWidget):
                widget.report_size()

    def compose(self) -> ComposeResult:
        """Put the body between the lines that every screen has."""
        yield ModeBar(self.MODE)
        yield from self.compose_body()
        yield StatusLine()
        yield KeyBar()

    def on_resize(self) -> None:
        """Hide the curves if there would be no line for them."""
        self.set_class(self.size.height < LEAST_HEIGHT, "-cramped")

    @abstractmethod
    def compose_body(self) -> ComposeResult:
        """Yield the widgets between the lines that every screen has."""

    def on_screen_resume(self) -> None:
        """Ask the app which runs are training, for the line of modes; update the keys after a dialog."""
        self.post_message(OverviewRequested())
        for bar in self.query(KeyBar):
            bar.refresh_if_changed()

    def show_outcome(self, message: str, severity: str = "information") -> None:
        """Show what was done, or why it was not, in the status line."""
        lines = self.query(StatusLine)  # there is none on a screen that is being opened or closed
        for line in lines:
            line.show(message, severity)
        if not lines and not self.is_mounted:
            self.call_later(self.show_outcome, message, severity)

    def show_runs(self, texts: list[tuple[str, str]]) -> None:
        """Show the runs that are training in the line of modes."""
        for bar in self.query(ModeBar):  # there is none on a screen that is being closed
            bar.show(texts)
