"""Every key that works now, in the groups of the help: the focused pane, the screen, everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

PANE, SCREEN, EVERYWHERE = "This pane", "This screen", "Everywhere"
GROUPS = (PANE, SCREEN, EVERYWHERE)


@dataclass(frozen=True)
class Key:
    """An action with all of its keys."""

    keys: str
    name: str
    doc: str
    group: str
    binding: Binding
    node: DOMNode

    @property
    def words(self) -> str:
        """What a filter looks in."""
        return f"{self.keys} {self.name} {self.doc}".casefold()


def active_keys(screen: Screen[Any]) -> list[Key]:
    """Return every key that works on the focused pane of a screen, in the order of the groups.

    What the framework binds for itself, without a description, is left out.
    """
    app = screen.app
    found: dict[tuple[str, str], tuple[list[str], Binding, DOMNode]] = {}
    for node, binding, enabled, _ in screen.active_bindings.values():
        group = _group(node)
        documented = binding.tooltip if group != PANE else binding.tooltip or binding.description
        if enabled and documented and binding.action != "command_palette":
            keys, *_ = found.setdefault((group, binding.action), ([], binding, node))
            shown = app.get_key_display(binding)
            if shown not in keys:
                keys.append(shown)
    listed = [
        Key(" ".join(keys), binding.description or binding.action, binding.tooltip, group, binding, node)
        for (group, _), (keys, binding, node) in found.items()
    ]
    return sorted(listed, key=lambda key: GROUPS.index(key.group))


def _group(node: DOMNode) -> str:
    if isinstance(node, App):
        return EVERYWHERE
    return SCREEN if isinstance(node, Screen) else PANE


def pane_title(widget: Widget | None) -> str:
    """Return the title of the frame that a widget is or lies in, "" without one."""
    for node in widget.ancestors_with_self if widget else ():
        if isinstance(node, Widget) and node.border_title:
            return str(node.border_title)
    return ""


def matching(keys: Iterable[Key], wanted: str) -> list[Key]:
    """Return the keys whose text has every word of `wanted`."""
    return [key for key in keys if all(word in key.words for word in wanted.casefold().split())]
