"""The button that starts a training, and beside it what happens then or why it can't be started."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from alexplore.core.formatting import cut
from alexplore.tui.widgets.line_widget import LineWidget

LABEL = "▶ Start training  F5"
READY = "the run goes on when the app closes; 3 Runs has it"


class StartButton(LineWidget):
    """A button in a frame if there are three lines for it, else in brackets. F5 presses it, not Enter."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"start-button--ready", "start-button--blocked", "start-button--note"}

    class Pressed(Message):
        """The button was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def show(self, reason: str) -> None:
        """Show that the training can be started, or the reason why not."""
        if reason != self.reason:
            self.reason = reason
            self.refresh()

    def _button(self) -> list[str]:
        if self.size.height < 3:
            return [f"[ {LABEL} ]"]
        return [f"╔{'═' * (len(LABEL) + 6)}╗", f"║   {LABEL}   ║", f"╚{'═' * (len(LABEL) + 6)}╝"]

    def render_line(self, y: int) -> Strip:
        """Render a line of the button, and beside its middle the note."""
        lines, width = self._button(), self.size.width
        text = f"  {lines[y]}" if y < len(lines) else ""
        segments = [Segment(text, self.style("start-button--blocked" if self.reason else "start-button--ready"))]
        if y == len(lines) // 2:
            note = f"   ✗ {self.reason}" if self.reason else f"   {READY}"
            room = width - len(text)
            segments.append(Segment(cut(note, room), self.style("start-button--note")))
        return Strip(segments).adjust_cell_length(width, self.style())

    def on_click(self, event: events.Click) -> None:
        """Report a click on the button."""
        if event.x < len(self._button()[0]) + 2:
            self.post_message(self.Pressed())
