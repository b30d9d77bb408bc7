"""Calls that create layers of PyTorch or Keras, as values: exports write them as code, training builds modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

NO_KEYWORDS: Mapping[str, Any] = {}


class Call(NamedTuple):
    """A class, such as `nn.Conv2d` or `layers.Dense`, and the arguments of its constructor.

    `helper` is the source code of a class that the library does not have; `comment` is written beside the call.
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
    """An expression in Python, which is written without quotes."""

    __slots__ = ()


def unless(value: T, default: T) -> T | None:
    """Return `value`, or None if it equals `default` and can be left out."""
    return None if value == default else value
