"""Changes that a layer proposes if it can't read its input, as values; `fixes` applies and tries them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Set(NamedTuple):
    """Change a setting of the layer itself."""

    key: str
    value: Any


class Insert(NamedTuple):
    """Put a layer, given as an entry of a preset file, between this one and one of its inputs."""

    entry: Mapping[str, Any]
    input: int = 0


class MoveBefore(NamedTuple):
    """Move this layer before the first layer of a type."""

    type: str


class Produce(NamedTuple):
    """Change the layer that produces an input, so that the input has `channels` channels or features."""

    channels: int
    input: int = 0


class Resize(NamedTuple):
    """Change the network's input size until `measure(height, width)` of this layer's map equals `wanted`.

    `measure` must not decrease when height or width increases.
    """

    measure: Callable[[int, int], int]
    wanted: int


Change = Set | Insert | MoveBefore | Produce | Resize
