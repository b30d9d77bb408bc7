"""Shapes without the batch dimension: a map is (channels, height, width), a vector is (features,)."""

from __future__ import annotations

import math
from typing import Any

from alexplore.core.errors import WrongUseError
from alexplore.core.settings import Kind, integer, list_schema

MapSize = tuple[int, int, int]
Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
"""The shapes of a layer's inputs, in the order in which it reads them."""


class ShapeError(WrongUseError):
    """A layer can't read its input; the message gives the reason in numbers."""


def map_size() -> Kind[MapSize]:
    """Return the kind of shapes of maps: [channels, height, width]."""
    integers = integer(1)

    def parse(value: Any) -> MapSize:
        if not isinstance(value, list | tuple):
            raise ValueError  # noqa: TRY004 (the one error of a kind)
        channels, height, width = map(integers.parse, value)
        return channels, height, width

    return Kind("[channels, height, width], integers ≥ 1", parse, list_schema(integers.schema, 3, 3))


def elements(shape: Shape) -> int:
    """Return the number of values of a shape: the product of its sizes."""
    return math.prod(shape)


def has_one_layout(shape: Shape) -> bool:
    """Return whether its values have the same order in memory with channels first or last: a vector, or one axis."""
    return elements(shape) == shape[0] or shape[0] == 1


def shape_text(shape: Shape) -> str:
    """Return a shape as text: 96×55×55."""
    return "×".join(map(str, shape))


def require_map(name: str, shape: Shape) -> tuple[int, int, int]:
    """Return (channels, height, width) of a map.

    Raises:
        ShapeError: `shape` is a vector; `name` is the layer that would read it.
    """
    if len(shape) != 3:
        raise ShapeError(f"{name} reads a channels×height×width map, gets a vector of {shape_text(shape)}")
    return shape[0], shape[1], shape[2]
