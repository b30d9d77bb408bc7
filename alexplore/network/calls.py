"""Calls of PyTorch's or Keras's layers, as values: an export writes them as code, training makes modules of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

NO_KEYWORDS: Mapping[str, Any] = {}


class Call(NamedTuple):
    """A class, such as `nn.Conv2d` or `layers.Dense`, and the arguments that make a layer of it.

    `helper` is the source of the class where the library has none of that name; `comment` is for a reader of the code.
    Keyword arguments that are None are left out.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = NO_KEYWORDS
    comment: str = ""
    helper: str = ""

    @property
    def given(self) -> dict[str, Any]:
        """The keyword arguments that have a value."""
        return {key: value for key, value in self.keywords.items() if value is not None}


class Code(str):
    """Text that is code already, not a string to be quoted."""

    __slots__ = ()


def unless(value: T, default: T) -> T | None:
    """Return a value, or None for the default, which need not be given."""
    return None if value == default else value
