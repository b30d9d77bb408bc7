"""Shapes without the batch: a map is (channels, height, width), a vector is (features,)."""

from __future__ import annotations

import math

from alexplore.core.errors import AlexploreError

Shape = tuple[int, ...]


class ShapeError(AlexploreError):
    """A layer that can't read its input; the message says why, in numbers."""


def elements(shape: Shape) -> int:
    """The product of a shape."""
    return math.prod(shape)


def shape_text(shape: Shape) -> str:
    """96×55×55, as people write it."""
    return "×".join(map(str, shape))
