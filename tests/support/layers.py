"""Every layer type with the settings that can be listed, each in a small network that can be trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from alexplore.core.settings import parse_text, setting_fields
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
    """A layer type with settings besides its example's; the layer is called `TESTED` in `network`."""

    cls: type[Layer]
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return "-".join([self.cls.type, *(f"{key}={value}" for key, value in self.settings.items())])

    @cached_property
    def network(self) -> Network:
        """A convolution, the layer (on branches where it reads several; on a vector where it reads one), `LAST`."""
        before = [FIRST]
        if analyse(read_network({"input": INPUT, "layers": self.ending(before)})).broken:
            before = [FIRST, FLATTEN]
        layers = self.ending(before)
        output = analyse(read_network({"input": INPUT, "layers": layers})).output
        if output is not None and len(output) > 1:
            layers.append({**FLATTEN, "name": "vector"})
        return read_network({"input": INPUT, "layers": [*layers, LAST]})

    def ending(self, before: list[Entry]) -> list[Entry]:
        """Return some layers and this one, which reads the last of them, or branches of it."""
        layer = {"name": TESTED, "type": self.cls.type, **self.cls.example, **self.settings}
        if self.cls.fewest_inputs == 1:
            return [*before, layer]
        source = before[-1]["name"]
        branches = [
            {"name": f"branch{number}", "type": "relu" if number == 1 else "tanh", "inputs": [source]}
            for number in range(1, self.cls.fewest_inputs + 1)
        ]
        return [*before, *branches, {**layer, "inputs": [branch["name"] for branch in branches]}]

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
        return self.row.layer


def layer_cases() -> Iterator[Case]:
    """Yield each type with its example's settings, then with every other choice of each setting that has choices."""
    for cls in LAYER_TYPES.values():
        yield Case(cls, {})
        for key, field in setting_fields(cls).items():
            for choice in field.metadata["kind"].choices:
                value = parse_text(choice)
                if value != cls.example.get(key, field.default):
                    yield Case(cls, {key: value})
