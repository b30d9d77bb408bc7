"""A network: an input, layers in order, and the number of towers they are split into. Edits give a new network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.core.settings import LARGEST, SettingError, found_text, integer, nearest, read_settings, read_value
from alexplore.network.layers import LAYER_NAMES, LAYER_TYPES, Layer, Linear, is_layer_name, read_layer, write_layer
from alexplore.network.shapes import Shape, ShapeError


@dataclass(frozen=True)
class Network:
    """An ordered stack of layers over an input of (channels, height, width)."""

    input: tuple[int, int, int]
    layers: tuple[Layer, ...]
    towers: int = 1

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise SettingError(f"layer {twice}: the name is used twice; every layer needs its own")

    def index(self, name: str) -> int:
        """The position of a layer, from 0.

        Raises:
            SettingError: there is no layer of that name.
        """
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise SettingError(f"no layer {name!r}{nearest(name, names)} Layers: {', '.join(names)}")
        return names.index(name)

    def replace(self, index: int, layer: Layer) -> Network:
        """With another layer at `index`."""
        return self._with((*self.layers[:index], layer, *self.layers[index + 1 :]))

    def change(self, index: int, settings: Mapping[str, Any]) -> Network:
        """With some settings of the layer at `index` changed; None sets one back to its default.

        Raises:
            SettingError: an unknown setting, or a value that is not allowed.
        """
        layer = self.layers[index]
        merged = {**layer.settings(defaults=False), **settings}
        given = {key: value for key, value in merged.items() if value is not None}
        try:
            return self.replace(index, type(layer)(name=layer.name, **read_settings(type(layer), given)))
        except SettingError as error:
            raise SettingError(f"layer {layer.name} ({layer.type}): {error}") from None

    def insert(self, index: int, layer: Layer) -> Network:
        """With a layer put in before the one at `index`; a name that is taken gets a number."""
        layer = dataclasses.replace(layer, name=self.free_name(layer.name))
        return self._with((*self.layers[:index], layer, *self.layers[index:]))

    def remove(self, index: int) -> Network:
        """Without the layer at `index`."""
        return self._with(self.layers[:index] + self.layers[index + 1 :])

    def duplicate(self, index: int) -> Network:
        """With a copy of the layer at `index` behind it."""
        return self.insert(index + 1, self.layers[index])

    def move(self, index: int, to: int) -> Network:
        """With the layer at `index` moved to position `to`."""
        layers = list(self.layers)
        layers.insert(to, layers.pop(index))
        return self._with(tuple(layers))

    def rename(self, index: int, name: str) -> Network:
        """With the layer at `index` called `name`.

        Raises:
            SettingError: the name is taken, or can't be a layer's.
        """
        if not is_layer_name(name):
            raise SettingError(
                f"layer {self.layers[index].name}: name: found {found_text(name)}, allowed: {LAYER_NAMES}"
            )
        return self.replace(index, dataclasses.replace(self.layers[index], name=name))

    def with_input(self, channels: int, height: int, width: int) -> Network:
        """With another input size."""
        return dataclasses.replace(self, input=read_input([channels, height, width]))

    def with_towers(self, towers: int) -> Network:
        """Split into another number of towers."""
        return dataclasses.replace(self, towers=read_value("towers", TOWERS, towers))

    @property
    def classes(self) -> int | None:
        """How many classes the network tells apart: the outputs of its last linear layer, None without one."""
        index = self._last_linear()
        return None if index is None else getattr(self.layers[index], "out_features", None)

    def with_classes(self, classes: int) -> Network:
        """With another number of outputs of the last linear layer.

        Raises:
            SettingError: there is no linear layer.
        """
        index = self._last_linear()
        if index is None:
            raise SettingError("the network has no linear layer whose outputs could be the classes")
        return self.change(index, {"out_features": classes})

    def free_name(self, name: str) -> str:
        """`name`, or with the next free number behind it where it is taken."""
        taken = {layer.name for layer in self.layers}
        if name not in taken:
            return name
        stem = name.rstrip("0123456789")
        number = 1
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def to_dict(self) -> dict[str, Any]:
        """Input, towers and layers as a preset file and config.json hold them."""
        towers = {"towers": self.towers} if self.towers > 1 else {}
        return {"input": list(self.input), **towers, "layers": [write_layer(layer) for layer in self.layers]}

    def _last_linear(self) -> int | None:
        return next((i for i in reversed(range(len(self.layers))) if isinstance(self.layers[i], Linear)), None)

    def _with(self, layers: tuple[Layer, ...]) -> Network:
        return dataclasses.replace(self, layers=layers)


TOWERS = integer(1, 64)


def read_network(values: Mapping[str, Any]) -> Network:
    """The inverse of `Network.to_dict`.

    Raises:
        SettingError: something is missing, unknown or not allowed; the message names the layer and the key.
    """
    entries = values.get("layers")
    if not isinstance(entries, list) or not entries:
        raise SettingError("layers: a list of at least one layer is needed")
    numbers: dict[str, int] = {}
    layers = []
    for entry in entries:
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if not isinstance(kind, str) or kind not in LAYER_TYPES:
            kind = "layer"
        numbers[kind] = numbers.get(kind, 0) + 1
        layers.append(read_layer(entry, f"{kind}{numbers[kind]}"))
    towers = read_value("towers", TOWERS, values.get("towers", 1))
    return Network(read_input(values.get("input")), tuple(layers), towers)


def read_input(value: Any) -> tuple[int, int, int]:
    """An input as [channels, height, width].

    Raises:
        SettingError: it is not three positive integers.
    """
    whole = isinstance(value, list | tuple) and all(type(v) is int and 0 < v <= LARGEST for v in value)
    if not whole or len(value) != 3:
        found = "nothing" if value is None else found_text(value)
        raise SettingError(f"input: found {found}, allowed: [channels, height, width], integers ≥ 1")
    channels, height, width = value
    return channels, height, width


def parse_input(text: str) -> tuple[int, int, int]:
    """An input as people type it: 3x227x227, with x or ×.

    Raises:
        SettingError: it is not of that form.
    """
    parts = text.lower().replace("×", "x").replace(",", "x").split("x")
    try:
        return read_input([int(part) for part in parts])
    except (ValueError, SettingError):
        raise SettingError(
            f"input: found {found_text(text)}, allowed: CHANNELSxHEIGHTxWIDTH, integers ≥ 1, such as 3x227x227"
        ) from None


def first_weighted(network: Network) -> int | None:
    """The position of the first layer with neurons: every tower reads the whole image there."""
    return next((i for i, layer in enumerate(network.layers) if layer.neurons), None)


def reads(network: Network, name: str) -> bool:
    """Whether the layer called `name`, and every layer before it, can read its input."""
    shape: Shape = network.input
    try:
        for layer in network.layers:
            shape = layer.output_shape(shape)
            if layer.name == name:
                return True
    except ShapeError:
        pass
    return False
