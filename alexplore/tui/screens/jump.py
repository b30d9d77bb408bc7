"""Letters on the panes of a screen: pressing one goes to its pane."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from alexplore.tui.screens.closing import ClosesOnce


class JumpScreen(ClosesOnce[None], ModalScreen[None]):
    """Puts a letter on every pane of a screen that can have the focus; any other key closes it."""

    DEFAULT_CSS = """
    JumpScreen {
        background: transparent;
        .jump { position: absolute; width: auto; height: 1; }
        .jump { background: $cursor; color: $cursor-text; text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "close")]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        panes = [widget for widget in below.focus_chain if widget.region and below.region.overlaps(widget.region)]
        self._panes: dict[str, Widget] = dict(zip(ascii_lowercase, panes, strict=False))

    def compose(self) -> ComposeResult:
        """Yield the letters, each in the corner of its pane."""
        for letter, pane in self._panes.items():
            label = Static(f" {letter} ", classes="jump")
            label.styles.offset = pane.region.offset
            yield label

    def on_click(self) -> None:
        """Close."""
        self.dismiss(None)

    def on_key(self, event: Key) -> None:
        """Go to the pane of the letter that was pressed."""
        event.stop()
        self.dismiss(None)
        if pane := self._panes.get(event.key):
            pane.focus()
