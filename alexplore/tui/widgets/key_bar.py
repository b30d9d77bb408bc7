"""The footer: the keys that work now, in one rendered line.

Textual's footer, a widget for each key, takes a fifth of the time to the first screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.strip import Strip

from alexplore.tui.widgets.line_widget import LineWidget


@dataclass(frozen=True)
class KeyLabel:
    """A key with its description; `left` is its column in the line."""

    key: str
    shown: str
    description: str
    left: int

    @property
    def right(self) -> int:
        """The column after it."""
        return self.left + len(self.shown) + len(self.description) + 2


class KeyBar(LineWidget):
    """Shows the bindings with `show=True`; a click on one presses its key."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key", "key-bar--description"}

    def __init__(self) -> None:
        super().__init__()
        self._rendered: list[KeyLabel] = []

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._refresh_if_changed())

    def _refresh_if_changed(self) -> None:
        if self._labels() != self._rendered:  # Textual signals far more often than the bindings change
            self.refresh()

    def _labels(self) -> list[KeyLabel]:
        labels: list[KeyLabel] = []
        shown: set[str] = set()
        left = 1
        for key, (_, binding, enabled, _) in self.screen.active_bindings.items():
            if not binding.show or not enabled or binding.action in shown | {"command_palette"}:
                continue
            shown.add(binding.action)
            labels.append(KeyLabel(key, self.app.get_key_display(binding), binding.description, left))
            left = labels[-1].right + 1
        return labels

    def render_line(self, y: int) -> Strip:
        """Render the line."""
        key_style, style = self.style("key-bar--key"), self.style("key-bar--description")
        segments, at = [], 0
        self._rendered = self._labels()
        for label in self._rendered:
            segments.append(Segment(" " * (label.left - at), style))
            segments.append(Segment(label.shown, key_style))
            segments.append(Segment(f" {label.description} ", style))
            at = label.right
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer."""
        for label in self._rendered:
            if label.left <= event.x < label.right:
                self.app.simulate_key(label.key)
