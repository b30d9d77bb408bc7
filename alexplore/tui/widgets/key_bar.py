"""The footer: the keys of the focused pane in one line, those that work everywhere in another.

Textual's footer, a widget for each key, takes a fifth of the time to the first screen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen
from textual.strip import Strip

from alexplore.tui.named_keys import working_bindings
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
    """Shows the bindings with `show=True`, as many as fit whole; a click on one presses its key.

    Bindings are shown in the order of their declaration, so the most important ones are declared first. If there is
    only one line, help comes first, then the keys of the pane, then the others that work everywhere.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key", "key-bar--description"}

    def __init__(self) -> None:
        super().__init__()
        self._rendered: list[list[KeyLabel]] = []

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh_if_changed())

    def refresh_if_changed(self) -> None:
        """Draw the keys again only if they have changed, because Textual signals far more often.

        Below a dialog the keys are not updated.
        """
        if self.app.screen is self.screen and self._lines() != self._rendered:
            self.refresh()

    def _lines(self) -> list[list[KeyLabel]]:
        """Return the labels of each line."""
        pane: list[tuple[str, Binding]] = []
        screen: list[tuple[str, Binding]] = []
        everywhere: list[tuple[str, Binding]] = []
        actions: set[str] = set()
        for key, (node, binding, enabled, _) in working_bindings(self.screen):
            if binding.show and enabled and binding.action not in actions:
                actions.add(binding.action)
                group = everywhere if isinstance(node, App) else screen if isinstance(node, Screen) else pane
                group.append((key, binding))
        if self.size.height < 2:
            return [self._fitting([*everywhere[:1], *pane, *screen, *everywhere[1:]])]
        return [self._fitting([*pane, *screen]), self._fitting(everywhere)]

    def _fitting(self, bindings: Iterable[tuple[str, Binding]]) -> list[KeyLabel]:
        labels: list[KeyLabel] = []
        left = 1
        for key, binding in bindings:
            label = KeyLabel(key, self.app.get_key_display(binding), binding.description, left)
            if label.right <= self.size.width + 1:
                labels.append(label)
                left = label.right + 1
        return labels

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        if not self._rendered or (y == 0 and self.app.screen is self.screen):
            self._rendered = self._lines()
        key_style, style = self.style("key-bar--key"), self.style("key-bar--description")
        segments, at = [], 0
        for label in self._rendered[y] if y < len(self._rendered) else []:
            segments.append(Segment(" " * (label.left - at), style))
            segments.append(Segment(label.shown, key_style))
            segments.append(Segment(f" {label.description} ", style))
            at = label.right
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer."""
        for label in self._rendered[event.y] if event.y < len(self._rendered) else []:
            if label.left <= event.x < label.right:
                self.app.simulate_key(label.key)
