"""What the network of a run makes of an image of one's own: its classes, evidence for the first, and feature maps."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize

from alexplore.runs.look import Look
from alexplore.tui.inside_lines import Drawn, looked
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.widgets.inside_picture import InsidePicture


class LookScreen(FrameScreen):
    """Shows an image as `alexplore runs inside RUN --image FILE --cam guess` does."""

    DEFAULT_CSS = "LookScreen #inside-picture { width: 1fr; height: 1fr; }"
    MODE: ClassVar[Mode | None] = "train"
    AUTO_FOCUS = "#inside-picture"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "back", tooltip="Go back to the network"),
    ]

    def __init__(self, found: Look) -> None:
        super().__init__()
        self._found = found

    def compose_body(self) -> ComposeResult:
        """Fill the screen with the picture."""
        yield InsidePicture(self._picture)

    def on_resize(self, _: Resize) -> None:
        """Draw for the other size."""
        self.call_after_refresh(self.query_one(InsidePicture).update_lines)

    def _picture(self, width: int, height: int) -> Drawn:
        drawn = looked(self._found, width, height)
        return Drawn(f"{Path(self._found.image).name} · {drawn.title}", drawn.lines)
