"""A network: an input, layers in topological order, and the number of towers. Edits return a new network.

A layer without `inputs` reads the layer before it in the list. `inputs` that name only that layer are left out, so that
equal networks compare equal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any

from alexplore.core.settings import LARGEST, SettingError, found_text, integer, nearest, read_value, setting_fields
from alexplore.network.layers import LAYER_TYPES, make_layer, read_layer, write_layer
from alexplore.network.layers.base import Layer
from alexplore.network.layers.names import ALLOWED, INPUT, is_layer_name

IMAGE = -1
"""The position of the network's input among the layers' sources."""


@dataclass(frozen=True)
class Network:
    """Layers over an input of (channels, height, width).

    Raises:
        SettingError: a layer has the name of another, reads one that is unknown or comes later, or is read by none.
    """

    input: tuple[int, int, int]
    layers: tuple[Layer, ...]
    towers: int = 1

    def __post_init__(self) -> None:
        _ = self.sources  # checks the graph

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """For each layer the positions of the layers that it reads; `IMAGE` is the network's input."""
        return _sources_of_chain(len(self.layers)) if _is_chain(self.layers) else tuple(_resolved(self.layers))

    @cached_property
    def readers(self) -> Mapping[int, tuple[int, ...]]:
        """For each position, and `IMAGE`, the positions of the layers that read it."""
        found: dict[int, list[int]] = {position: [] for position in range(IMAGE, len(self.layers))}
        for position, read in enumerate(self.sources):
            for source in dict.fromkeys(read):
                found[source].append(position)
        return {position: tuple(readers) for position, readers in found.items()}

    @cached_property
    def is_chain(self) -> bool:
        """Whether every layer reads the layer before it, and nothing else."""
        return all(read == (position - 1,) for position, read in enumerate(self.sources))

    def source_names(self, index: int) -> tuple[str, ...]:
        """Return the names of the layers that the layer at `index` reads; the network's input is called "input"."""
        return tuple(self.name_at(source) for source in self.sources[index])

    def name_at(self, position: int) -> str:
        """Return the name of the layer at a position, or "input"."""
        return INPUT if position == IMAGE else self.layers[position].name

    def index(self, name: str) -> int:
        """Return the position of a layer, from 0.

        Raises:
            SettingError: there is no layer of that name.
        """
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise SettingError(f"no layer {name!r}{nearest(name, names)} Layers: {', '.join(names)}")
        return names.index(name)

    # Edits. An edit after which no layer would read some layer, or a layer would read a later one, is refused.

    def replace(self, index: int, layer: Layer) -> Network:
        """Return the network with another layer at `index`; layers that read the old one by name read the new one."""
        old = self.layers[index].name
        layers = (*self.layers[:index], layer, *self.layers[index + 1 :])
        if layer.name != old:
            layers = tuple(_with_inputs(one, _replaced(one.inputs, old, layer.name)) for one in layers)
        return self._with(layers)

    def change(self, index: int, settings: Mapping[str, Any]) -> Network:
        """Return the network with some settings, or the inputs, of the layer at `index` changed.

        None sets a setting back to its default.

        Raises:
            SettingError: an unknown setting, a value that is not allowed, or a layer whose numbers were recorded.
        """
        layer = self.layers[index]
        if layer.recorded:
            raise SettingError(
                f"layer {layer.name} ({layer.type}) can't be edited: its numbers were recorded when the model was "
                "imported. It can be renamed or removed"
            )
        merged = {**layer.settings(defaults=False), **settings}
        if layer.inputs:
            merged.setdefault("inputs", list(layer.inputs))
        given = {key: value for key, value in merged.items() if value is not None}
        changed = self.replace(index, make_layer(type(layer), layer.name, given))
        return changed if "inputs" not in settings else changed._from_entries(changed._entries())

    def insert(self, index: int, layer: Layer) -> Network:
        """Return the network with a layer at position `index`; a name that is taken gets a number.

        A layer without inputs reads the layer before that position, whose readers then read the new layer. A layer with
        inputs reads those; the readers of the first of them from `index` on then read the new layer.

        Raises:
            SettingError: the layer needs several inputs and names none, or the network would not be valid.
        """
        layer = dataclasses.replace(layer, name=self.free_name(layer.name))
        if not layer.inputs and layer.fewest_inputs > 1:
            raise SettingError(f"layer {layer.name} ({layer.type}): inputs: name the layers that it reads")
        entries = self._entries()
        source = layer.inputs[0] if layer.inputs else self.name_at(index - 1)
        later = [(one, _replaced(read, source, layer.name)) for one, read in entries[index:]]
        return self._from_entries([*entries[:index], (layer, layer.inputs or (source,)), *later])

    def insert_between(self, index: int, input: int, layer: Layer) -> Network:
        """Return the network with a layer between the layer at `index` and its input number `input`, from 0.

        A name that is taken gets a number.
        """
        layer = dataclasses.replace(layer, name=self.free_name(layer.name))
        entries = self._entries()
        reader, read = entries[index]
        entries[index : index + 1] = [
            (layer, (read[input],)),
            (reader, (*read[:input], layer.name, *read[input + 1 :])),
        ]
        return self._from_entries(entries)

    def remove(self, index: int) -> Network:
        """Return the network without the layer at `index`; the layers that read it read its input instead.

        Raises:
            SettingError: it joins several layers, so that its readers have no single layer to read instead.
        """
        entries = self._entries()
        layer, read = entries.pop(index)
        if len(set(read)) > 1:
            raise SettingError(
                f"{layer.name} can't be removed: it joins {' and '.join(read)}. Remove all but one of these branches "
                "first"
            )
        return self._from_entries([(one, _replaced(other, layer.name, read[0])) for one, other in entries])

    def duplicate(self, index: int) -> Network:
        """Return the network with a copy of the layer at `index` after it, which reads it.

        Raises:
            SettingError: the layer joins several.
        """
        layer = self.layers[index]
        if layer.fewest_inputs > 1:
            raise SettingError(
                f"{layer.name} can't be duplicated: it joins {' and '.join(layer.inputs)}, and its copy would have "
                "nothing to join"
            )
        return self.insert(index + 1, dataclasses.replace(layer, inputs=()))

    def move(self, index: int, to: int) -> Network:
        """Return the network with the layer at `index` at position `to`.

        Raises:
            SettingError: branches part or join between the two positions: a layer there reads another layer than the
                one before it, or is read by another than the one after it.
        """
        if index == to:
            return self
        low, high = min(index, to), max(index, to)
        chained = all(self.sources[position] == (position - 1,) for position in range(low + 1, high + 1))
        alone = all(self.readers[position] == (position + 1,) for position in range(low, high))
        if len(self.sources[low]) > 1 or not (chained and alone):
            raise SettingError(
                f"{self.layers[index].name} can't change places with {self.layers[to].name}: branches part or join "
                "between them, and a layer moves only within its branch"
            )
        entries = self._entries()
        layers = [layer for layer, _ in entries[low : high + 1]]
        layers.insert(to - low, layers.pop(index - low))
        outside = entries[low][1]
        last_before, last_after = entries[high][0].name, layers[-1].name
        inside = []
        for layer in layers:
            inside.append((layer, outside))
            outside = (layer.name,)
        after = [(layer, _replaced(read, last_before, last_after)) for layer, read in entries[high + 1 :]]
        return self._from_entries([*entries[:low], *inside, *after])

    def rename(self, index: int, name: str) -> Network:
        """Return the network with the layer at `index` called `name`.

        Raises:
            SettingError: the name is taken, or can't be a layer's.
        """
        layer = self.layers[index]
        if not is_layer_name(name):
            raise SettingError(f"layer {layer.name}: name: found {found_text(name)}, allowed: {ALLOWED}")
        return self.replace(index, dataclasses.replace(layer, name=name))

    def with_input(self, channels: int, height: int, width: int) -> Network:
        """Return the network with another input size.

        Raises:
            SettingError: a size is not a positive integer.
        """
        return dataclasses.replace(self, input=read_input([channels, height, width]))

    def with_towers(self, towers: int) -> Network:
        """Return the network split into another number of towers.

        Raises:
            SettingError: the number is not from 1 to 64.
        """
        return dataclasses.replace(self, towers=read_value("towers", TOWERS, towers))

    @property
    def classifier(self) -> int | None:
        """The position of the last layer with neurons, whose outputs are the classes; None without one."""
        for position in reversed(range(len(self.layers))):
            if self.layers[position].neurons:
                return position
            if len(self.sources[position]) > 1:
                return None
        return None

    @property
    def classes(self) -> int | None:
        """How many classes the network distinguishes: the outputs of its last layer with neurons, None without one."""
        index = self.classifier
        return None if index is None else getattr(self.layers[index], str(self.layers[index].produces), None)

    def with_classes(self, classes: int) -> Network:
        """Return the network with another number of outputs of its last layer with neurons.

        Raises:
            SettingError: there is no such layer.
        """
        index = self.classifier
        if index is None:
            raise SettingError("the network has no linear layer or convolution whose outputs could be the classes")
        return self.change(index, {str(self.layers[index].produces): classes})

    def freezable(self, pattern: str) -> tuple[str, ...]:
        """Return the names of the layers that match a pattern, such as `conv*`, and that can be frozen.

        They have the setting `trainable`: those with parameters, or with statistics that they keep.
        """
        return tuple(layer.name for layer in self.layers if can_freeze(layer) and fnmatchcase(layer.name, pattern))

    def freeze(self, patterns: Iterable[str]) -> Network:
        """Return the network with `trainable = false` in the freezable layers that match one of the patterns."""
        names = {name for pattern in patterns for name in self.freezable(pattern)}
        network = self
        for index, layer in enumerate(self.layers):
            if layer.name in names and layer.trains:
                network = network.change(index, {"trainable": False})
        return network

    def free_name(self, name: str) -> str:
        """Return `name`; if it is taken, its stem with the lowest free number."""
        taken = {layer.name for layer in self.layers}
        if name not in taken:
            return name
        stem = name.rstrip("0123456789")
        number = 1
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def to_dict(self) -> dict[str, Any]:
        """Return input, towers and layers in the form of a preset file and of config.json."""
        towers = {"towers": self.towers} if self.towers > 1 else {}
        return {"input": list(self.input), **towers, "layers": [write_layer(layer) for layer in self.layers]}

    def _entries(self) -> list[tuple[Layer, tuple[str, ...]]]:
        """Return every layer with the names of the layers that it reads."""
        return [(layer, self.source_names(position)) for position, layer in enumerate(self.layers)]

    def _from_entries(self, entries: Iterable[tuple[Layer, tuple[str, ...]]]) -> Network:
        return self._with(tuple(_with_shortest_inputs(entries)))

    def _with(self, layers: tuple[Layer, ...]) -> Network:
        return Network(self.input, layers, self.towers)


TOWERS = integer(1, 64)


def can_freeze(layer: Layer) -> bool:
    """Return whether a layer can be frozen: it has the setting `trainable`, and was not recorded."""
    return not layer.recorded and "trainable" in setting_fields(type(layer))


def _is_chain(layers: tuple[Layer, ...]) -> bool:
    """Return whether every layer reads the one before it by default, and all names differ.

    Most networks do. This test takes a fifth of the time of `_resolved`, and an edit makes it at every keystroke.
    """
    for layer in layers:
        if layer.inputs or layer.fewest_inputs > 1:
            return False
    return len({INPUT, *[layer.name for layer in layers]}) == len(layers) + 1


@lru_cache(64)
def _sources_of_chain(length: int) -> tuple[tuple[int, ...], ...]:
    return tuple((position - 1,) for position in range(length))


def _resolved(layers: tuple[Layer, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the positions of the layers that each layer reads.

    Raises:
        SettingError: see `Network`.
    """
    positions: dict[str, int] = {INPUT: IMAGE}
    unread: dict[int, str] = {}
    for position, layer in enumerate(layers):
        if layer.name in positions:
            raise SettingError(f"layer {layer.name}: the name is used twice; every layer needs its own")
        read = tuple(_position(layer, name, positions, layers) for name in layer.inputs) or (position - 1,)
        if len(read) < layer.fewest_inputs:
            raise SettingError(
                f"layer {layer.name} ({layer.type}): inputs: found {len(layer.inputs)}, allowed: "
                f"{layer.fewest_inputs} or more layers that it reads"
            )
        if layer.most_inputs is not None and len(read) > layer.most_inputs:
            raise SettingError(
                f"layer {layer.name} ({layer.type}): inputs: found {len(read)}, allowed: at most {layer.most_inputs}"
            )
        for source in read:
            unread.pop(source, None)
        positions[layer.name] = position
        unread[position] = layer.name
        yield read
    unread.pop(len(layers) - 1, None)
    if unread:
        raise SettingError(
            f"layer {next(iter(unread.values()))}: no layer reads it; add it to the inputs of a later one, or remove it"
        )


def _position(layer: Layer, name: str, positions: Mapping[str, int], layers: tuple[Layer, ...]) -> int:
    if name in positions:
        return positions[name]
    where = f"layer {layer.name} ({layer.type}): inputs: "
    if any(other.name == name for other in layers):
        raise SettingError(f"{where}{name} does not come before {layer.name}; allowed: a layer above it, or input")
    raise SettingError(f"{where}there is no layer {found_text(name)}{nearest(name, positions)}")


def _with_shortest_inputs(entries: Iterable[tuple[Layer, tuple[str, ...]]]) -> Iterator[Layer]:
    """Yield the layers; `inputs` that name only the layer before are left out."""
    before = INPUT
    for layer, read in entries:
        yield _with_inputs(layer, () if read == (before,) and layer.most_inputs == 1 else read)
        before = layer.name


def _with_inputs(layer: Layer, inputs: tuple[str, ...]) -> Layer:
    """Return the layer with other inputs: the same object if they are equal, so that an analysis keeps its numbers."""
    return layer if layer.inputs == inputs else dataclasses.replace(layer, inputs=inputs)


def _replaced(names: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name == old else name for name in names) if old in names else names


def read_network(values: Mapping[str, Any]) -> Network:
    """Return the network that `Network.to_dict` wrote.

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
    network = Network(read_input(values.get("input")), tuple(layers), towers)
    return network._from_entries(network._entries()) if any(layer.inputs for layer in layers) else network


IMAGE_CHANNELS = (1, 3, 4)


def channels_first(input: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Return the input as (channels, height, width) if it seems to be (height, width, channels), else None.

    Images have 1, 3 or 4 channels, and are rarely that few pixels wide.
    """
    height, width, channels = input
    looks_turned = channels in IMAGE_CHANNELS and min(height, width) > max(IMAGE_CHANNELS)
    return (channels, height, width) if looks_turned else None


def read_input(value: Any) -> tuple[int, int, int]:
    """Return an input of [channels, height, width].

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
    """Return an input (channels, height, width) from text: 3x227x227, with x, × or a comma.

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
