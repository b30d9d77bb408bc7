"""Name every action of a key, such as `explore.undo`, so that the preferences can give it another key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual.binding import ActiveBinding, Binding, BindingType
from textual.dom import DOMNode

ACTIONS: set[str] = set()
"""The names of the actions of all imported classes."""


class NamedKeys:
    """A base class that gives each binding an id: the name of its class and of its action.

    The name of a class is in snake case, without `_screen` at the end. This base is not a `DOMNode` itself, because
    Textual looks for default styles along the first base that is one.
    """

    BINDINGS: ClassVar[list[BindingType]]

    KEYS_OF: ClassVar[str] = ""
    """Another name for the class."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Name the bindings that the class declares, before Textual reads them."""
        if "BINDINGS" in cls.__dict__:
            cls.BINDINGS = list(_named(cls, Binding.make_bindings(cls.__dict__["BINDINGS"])))
        super().__init_subclass__(**options)


def declared_order(active: Mapping[str, ActiveBinding]) -> list[tuple[str, ActiveBinding]]:
    """Return a screen's active bindings by key, node by node: first those that the node's own class declares, in order.

    Textual itself puts a key that a class redeclares at the place that it has in the base class.
    """
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
        action = re.sub(r"[^a-z0-9]+", "_", binding.action.removeprefix("screen.").removeprefix("app.")).strip("_")
        identifier = f"{name}.{action}"
        ACTIONS.add(identifier)
        yield replace(binding, id=binding.id or identifier)
