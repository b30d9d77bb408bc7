"""The keys that work now, in the groups of the help: this pane, this screen, everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from alexplore.tui.named_keys import TYPING, working_bindings
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.word_filter import contains_words

PANE, SCREEN, EVERYWHERE = "This pane", "This screen", "Everywhere"
GROUPS = (PANE, SCREEN, EVERYWHERE)
MOVES = {one.action for one in CursorList.BINDINGS if isinstance(one, Binding)}
"""The actions that move the cursor in every list."""


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
        """The text that a filter searches."""
        return f"{self.keys} {self.name} {self.doc}".casefold()


def active_keys(screen: Screen[Any]) -> list[Key]:
    """Return every key that works on the focused pane of a screen, in the order of the groups.

    A pane's own keys come first, then those that move the cursor. A key that Textual binds on its screens is listed
    only if the app declares it too. Of the app's keys, those with priority work in a dialog too.
    """
    app = screen.app
    declared = {one.action: at for at, one in enumerate(type(app).BINDINGS) if isinstance(one, Binding)}
    found: dict[str, tuple[list[str], Binding, DOMNode]] = {}
    working = working_bindings(screen)
    if screen.is_modal:
        bound = {key for key, _ in working}
        priority = [(key, one) for key, one in app._bindings if one.priority and key not in bound]
        working += [(key, ActiveBinding(app, one, True, one.tooltip)) for key, one in priority]
    for key, (node, binding, enabled, _) in working:
        if isinstance(node, Screen) and not binding.tooltip and binding.action in declared:
            node, binding = app, app._bindings.key_to_bindings[key][0]  # noqa: PLW2901 (the app's binding has a tooltip)
        enabled = enabled and _has_action(app, binding, node)  # noqa: PLW2901
        if enabled and (binding.tooltip or (_group(node) == PANE and binding.description)):
            keys, *_ = found.setdefault(f"{id(node)} {binding.action}", ([], binding, node))
            if (shown := app.get_key_display(binding)) not in keys:
                keys.append(shown)
    listed = [
        Key(" ".join(keys), binding.description or binding.action, _doc(binding), _group(node), binding, node)
        for keys, binding, node in found.values()
    ]

    def order(key: Key) -> tuple[int, int]:
        if key.group == EVERYWHERE:
            return GROUPS.index(key.group), declared.get(key.binding.action, 0)
        rank = 2 if not key.binding.tooltip else 1 if key.binding.action in MOVES else 0
        return GROUPS.index(key.group), rank

    return sorted(listed, key=order)


def _has_action(app: App[Any], binding: Binding, node: DOMNode) -> bool:
    """Return whether a key has an action: a list in a dialog binds actions of screens that the dialog lacks."""
    target, name, _ = app._parse_action(binding.action, node)
    return name == TYPING or any(hasattr(target, f"{prefix}action_{name}") for prefix in ("", "_"))


def _doc(binding: Binding) -> str:
    """Return the description of a binding, with the name of its action in the preferences."""
    return " · ".join(part for part in (binding.tooltip, binding.id) if part)


def _group(node: DOMNode) -> str:
    if isinstance(node, App):
        return EVERYWHERE
    return SCREEN if isinstance(node, Screen) else PANE


def pane_title(widget: Widget | None) -> str:
    """Return the title of the frame around a widget, "" without one."""
    for node in widget.ancestors_with_self if widget else ():
        if isinstance(node, Widget) and node.border_title:
            return str(node.border_title)
    return ""


def matching(keys: Iterable[Key], wanted: str) -> list[Key]:
    """Return the keys whose text has every word of `wanted`."""
    return [key for key in keys if contains_words(key.words, wanted)]
