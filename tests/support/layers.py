"""Every layer type with the settings that can be listed, each in a small network that can be trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from alexplore.core.settings import SettingError, parse_text, read_value, setting_fields
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.base import Layer
from alexplore.network.row import Row
from alexplore.presets.preset import Preset

Entry = dict[str, Any]

INPUT = [3, 12, 10]
TESTED = "tested"
FIRST: Entry = {"name": "first", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1}
FLATTEN: Entry = {"name": "flatten", "type": "flatten"}
LAST: Entry = {"name": "last", "type": "linear", "out_features": 5}


@dataclass(frozen=True)
class Case:
    """A layer type with settings besides its example's, on a map of 8×12×10 or on a vector of 960."""

    cls: type[Layer]
    settings: Mapping[str, Any] = field(default_factory=dict)
    vector: bool = False

    def __str__(self) -> str:
        values = (f"{key}={value}" for key, value in self.settings.items())
        return "-".join([self.cls.type, *values, *(["vector"] if self.vector else [])])

    @cached_property
    def layers(self) -> list[Entry]:
        """A convolution, flatten for a vector, and the layer, called `TESTED`; on branches if it reads several."""
        return layers_ending_in(self.cls, self.settings, [FIRST, FLATTEN] if self.vector else [FIRST])

    @property
    def is_readable(self) -> bool:
        """Whether the layer can read what is before it."""
        return analyse(read_network({"input": INPUT, "layers": self.layers})).broken is None

    @cached_property
    def network(self) -> Network:
        """These layers, and a linear layer for five classes."""
        output = analyse(read_network({"input": INPUT, "layers": self.layers})).output
        vector = [] if output is not None and len(output) == 1 else [{**FLATTEN, "name": "vector"}]
        return read_network({"input": INPUT, "layers": [*self.layers, *vector, LAST]})

    @property
    def preset(self) -> Preset:
        """A preset with this network."""
        return Preset("example", self.network)

    @property
    def row(self) -> Row:
        """The layer's row."""
        return analyse(self.network).rows[self.network.index(TESTED)]

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.network.layers[self.network.index(TESTED)]


def layers_ending_in(cls: type[Layer], settings: Mapping[str, Any], before: list[Entry]) -> list[Entry]:
    """Return the layers `before`, and one of a type that reads the last of them, or branches of it.

    The branches don't keep their outputs for the backward pass, so it is the tested layer that keeps them.
    """
    layer = {"name": TESTED, "type": cls.type, **cls.example, **settings}
    if cls.fewest_inputs == 1:
        return [*before, layer]
    source = before[-1]["name"]
    branches = [
        {"name": f"branch{number}", "type": "gelu" if number == 1 else "silu", "inputs": [source]}
        for number in range(1, cls.fewest_inputs + 1)
    ]
    return [*before, *branches, {**layer, "inputs": [branch["name"] for branch in branches]}]


NUMBERS = (2, 3, 8, 0.25)


def layer_cases() -> Iterator[Case]:
    """Yield each type on a map and on a vector, if it can read them: its example, then each setting changed by itself.

    A setting is changed to each of its choices, or to the first of `NUMBERS` with which the layer can read its input.
    """
    for cls in LAYER_TYPES.values():
        for vector in (False, True):
            if Case(cls, vector=vector).is_readable:
                yield Case(cls, vector=vector)
                for key, one in setting_fields(cls).items():
                    changed = (Case(cls, {key: value}, vector) for value in _values(cls, key))
                    readable = (case for case in changed if case.is_readable)
                    yield from readable if one.metadata["kind"].choices else islice(readable, 1)


def _values(cls: type[Layer], key: str) -> Iterator[Any]:
    """Yield values of a setting that are allowed and not its example's, or its default."""
    one = setting_fields(cls)[key]
    for value in map(parse_text, one.metadata["kind"].choices) if one.metadata["kind"].choices else NUMBERS:
        try:
            read_value(key, one.metadata["kind"], value)
        except SettingError:
            continue
        if value != cls.example.get(key, one.default):
            yield value
