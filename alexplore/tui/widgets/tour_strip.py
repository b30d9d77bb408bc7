"""The strip at the bottom of a screen that shows a step of the tour."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.binding import Binding, BindingType
from textual.widgets import Static

from alexplore.tui.messages import TourActionRequested
from alexplore.tui.tour import Tour

TourAction = Literal["do", "try", "next", "back", "leave"]


class TourStrip(Static, can_focus=True):
    """Shows the current step of the tour. Each screen has its own strip for the same tour."""

    DEFAULT_CSS = """
    TourStrip {
        dock: bottom;
        height: auto;
        margin: 0 0 2 0;
        padding: 0 1;
        border: round $frame;
        background: $background;
        color: $foreground;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $faint;
    }
    TourStrip:focus { border: heavy $frame-focus; }
    .-tiny TourStrip { margin: 0 0 1 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "perform('do')", "do it for me", tooltip="Press the keys of this step"),
        Binding("tab,down,up", "perform('try')", "try it", tooltip="Go to what the step is about, and press its keys"),
        Binding("right", "perform('next')", "next", tooltip="The next step of the tour"),
        Binding("left", "perform('back')", "back", tooltip="The step before"),
        Binding("escape", "perform('leave')", "leave", tooltip="Leave the tour"),
    ]

    def __init__(self, tour: Tour) -> None:
        super().__init__(markup=False)
        self.tour = tour

    def on_mount(self) -> None:
        """Show the step."""
        self.on_blur()
        self.show_step()

    def show_step(self) -> None:
        """Show the step."""
        self.border_title = self.tour.title
        self.update(self.tour.step.text)

    def on_focus(self) -> None:
        """Show which keys work."""
        self.border_subtitle = "tab try it · ⏎ do it for me · → next · ← back · esc leaves"

    def on_blur(self) -> None:
        """Show how to come back; while the keys of the step are being pressed, the strip gets the focus back itself."""
        self.border_subtitle = "pressing the keys …" if self.tour.performing else "tab or a click comes back here"

    def action_perform(self, action: TourAction) -> None:
        """Post the action of a key."""
        self.post_message(TourActionRequested(action))
