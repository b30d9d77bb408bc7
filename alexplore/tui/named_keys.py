"""A name for every action that a key does, so that a person can give it another key: `explore.undo`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual.binding import ActiveBinding, Binding, BindingType
from textual.dom import DOMNode

ACTIONS: set[str] = set()
"""The names of the actions of all classes that were imported."""


class NamedKeys:
    """The base of what has keys: gives each binding the name of its class and action as its id.

    The name of a class is its own in snake case, without `_screen` at the end. It is no node itself: Textual looks for
    default styles along the first base that is one.
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
    """Return a screen's active bindings by key: node after node, first what a node's own class declares, in its order.

    Textual has a key that a class declares anew where its base had it.
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
