"""Name every action of a key, such as `explore.undo`, so that the preferences can give it another key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual.binding import ActiveBinding, Binding, BindingType
from textual.dom import DOMNode
from textual.keys import REPLACED_KEYS, key_to_character
from textual.screen import Screen

from alexplore.tui.text_entry import KEYS

ACTIONS: set[str] = set()
"""The names of the actions of all imported classes."""


class NamedKeys:
    """A base class that gives each binding an id: the name of its class and of its action.

    An action with a number has the binding's description as its name. The name of a class is in snake case, without
    `_screen` at the end. This base is not a `DOMNode` itself, because Textual looks for default styles along the first
    base that is one.
    """

    BINDINGS: ClassVar[list[BindingType]]

    KEYS_OF: ClassVar[str] = ""
    """Another name for the class."""

    def typing_keys(self) -> Mapping[str, Binding]:
        """Return the bindings of keys that type no character, while a text is edited; none at other times."""
        return {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Name the bindings that the class declares, before Textual reads them."""
        if "BINDINGS" in cls.__dict__:
            cls.BINDINGS = list(_named(cls, Binding.make_bindings(cls.__dict__["BINDINGS"])))
        super().__init_subclass__(**options)


def working_bindings(screen: Screen[Any]) -> list[tuple[str, ActiveBinding]]:
    """Return what each key does now: node after node, first what the node's own class declares, in order.

    Textual itself puts a key that a class redeclares at the place that it has in the base class. While a text is typed
    in the focused widget, its `typing_keys` take the place of the bindings of these keys and of all characters.
    """
    focused = screen.focused
    typing: Mapping[str, Binding] = focused.typing_keys() if isinstance(focused, NamedKeys) else {}
    active = {
        key: one for key, one in screen.active_bindings.items() if key not in typing and not _is_typed(focused, key)
    }
    typed = [
        (key, ActiveBinding(focused, replace(binding, key=key), True, binding.tooltip))
        for key, binding in typing.items()
        if focused is not None
    ]
    return [*typed, *_in_declared_order(active)]


def _is_typed(focused: DOMNode | None, key: str) -> bool:
    """Return whether a key is a character that the focused widget takes as text."""
    character = key_to_character(REPLACED_KEYS.get(key, key))  # which Textual does not find by their own names
    return focused is not None and character is not None and focused.check_consume_key(key, character)


def typing_key(name: str, doc: str, *, show: bool = False) -> Binding:
    """Return what a key does while a text is typed, for footer and help; the widget itself handles the key."""
    return Binding("", f"{TYPING}('{name}')", name, show=show, tooltip=doc)


def editing_keys() -> dict[str, Binding]:
    """Return what the keys of a text that is typed do."""
    return {key: typing_key(editing.name, editing.doc) for key, editing in KEYS.items()}


TYPING = "typing"
"""The action of keys that are handled by the widget in which a text is typed."""


def _in_declared_order(active: Mapping[str, ActiveBinding]) -> list[tuple[str, ActiveBinding]]:
    nodes: dict[DOMNode, tuple[int, list[str]]] = {}
    for node, *_ in active.values():
        if node not in nodes:
            nodes[node] = len(nodes), [declared.action for declared in Binding.make_bindings(type(node).BINDINGS)]

    def place(one: tuple[str, ActiveBinding]) -> tuple[int, int]:
        node, binding, *_ = one[1]
        at, own = nodes[node]
        return at, own.index(binding.action) if binding.action in own else len(own)

    return sorted(active.items(), key=place)


def _named(cls: type[NamedKeys], bindings: Iterable[Binding]) -> Iterable[Binding]:
    name = cls.__dict__.get("KEYS_OF") or re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower().removesuffix("_screen")
    for binding in bindings:
        action = binding.action.removeprefix("screen.").removeprefix("app.")
        words = binding.description if re.search(r"\d", action) else action  # "last" tells more than move(1000000000)
        identifier = f"{name}.{re.sub(r'[^a-z0-9]+', '_', words.lower()).strip('_')}"
        ACTIONS.add(identifier)
        yield replace(binding, id=binding.id or identifier)
