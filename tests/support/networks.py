"""Small networks, and random layers and networks that are small enough to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st

from alexplore.core.settings import SettingError
from alexplore.network.analysis import analyse
from alexplore.network.graph import IMAGE, Network, read_network
from alexplore.network.layers import EDITABLE_TYPES, read_layer
from alexplore.network.shapes import Shape, ShapeError, elements
from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.preset import Preset

Entry = dict[str, Any]

TINY = {
    "input": [1, 28, 28],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "relu1", "type": "relu"},
        {"name": "pool1", "type": "max_pool2d", "kernel_size": 2},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc2", "type": "linear", "out_features": 10},
    ],
}

TINY_PRESET = """\
title = "A tiny network"
input = [1, 28, 28]
layers = [
  { name = "conv1", type = "conv2d", out_channels = 4, kernel_size = 3, padding = 1 },
  { name = "relu1", type = "relu" },
  { name = "pool1", type = "max_pool2d", kernel_size = 2 },
  { name = "flatten", type = "flatten" },
  { name = "fc2", type = "linear", out_features = 10 },
]

[training]
dataset = "synthetic"
optimizer = "adam"
lr = 0.005
epochs = 2
precision = "fp32"
"""

SMALL = {
    "input": [1, 12, 12],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1},
        {"name": "relu1", "type": "relu"},
        {"name": "norm1", "type": "local_response_norm", "size": 3},
        {"name": "pool1", "type": "max_pool2d", "kernel_size": 3, "stride": 2},
        {"name": "conv2", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "groups": 2},
        {"name": "relu2", "type": "relu"},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc3", "type": "linear", "out_features": 16},
        {"name": "relu3", "type": "relu"},
        {"name": "drop3", "type": "dropout", "p": 0.5},
        {"name": "fc4", "type": "linear", "out_features": 10},
    ],
}


def called_like_the_code() -> Preset:
    """Return a network each of whose layers is read twice, and has a name that exported code uses or may take."""
    names = [
        "x", "x1", "x_", "images", "layers", "layers1", "ops", "keras", "torch", "nn", "F", "Tensor", "sum", "print",
        "PadForMax", "PadWithMap", "ResponseNorm", "GroupedNorm", "PaddedAvgPool2d", "Any",
    ]  # fmt: skip
    uses = [
        {"type": "max_pool2d", "kernel_size": 3, "stride": 1, "padding": [0, 1, 0, 1]},
        {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
        {"type": "local_response_norm", "size": 3, "groups": 2},
        {"type": "avg_pool2d", "kernel_size": 2, "stride": 1, "padding": "same"},
    ]
    layers: list[Entry] = []
    for number, name in enumerate(names):
        read = layers[-1]["name"] if layers else "input"
        layers.append({"name": name, "type": "conv2d", "out_channels": 4, "kernel_size": 1})
        layers.append({"name": f"use{number}", **uses[number % len(uses)]})
        layers.append({"name": f"pool{number}", "type": "adaptive_avg_pool2d", "output_size": 4})
        layers.append({"name": f"again{number}", "inputs": [name], "type": "adaptive_avg_pool2d", "output_size": 4})
        layers.append({"name": f"sum{number}", "type": "add", "inputs": [f"pool{number}", f"again{number}"]})
        layers[-5]["inputs"] = [read]
    return Preset("padded-avg-pool2d", read_network({"input": [4, 6, 6], "layers": layers}))


LIGHT_MACS = 50_000_000
"""A network that takes more multiplications for an image is heavy to build and run in a test."""


def presets_to_run() -> list[Any]:
    """Return the names of the shipped presets, as parameters of a test that builds or runs the network.

    The large ones make the test heavy.
    """
    heavy = [name for name in shipped_names() if analyse(load_preset(name).network).totals.macs > LIGHT_MACS]
    return [pytest.param(name, marks=[pytest.mark.heavy] * (name in heavy)) for name in shipped_names()]


QUICK_MACS, QUICK_SIDE, QUICK_FEATURES = 1_200_000_000, 64, 256


def quick_to_run(preset: Preset) -> Preset:
    """Return a preset for images of 64×64 with small hidden linear layers, if its own network would take long.

    Such networks take a good part of a second for an image, and gigabytes of weights and activations.
    """
    network = preset.network
    if analyse(network).totals.macs <= QUICK_MACS:
        return preset
    for index, layer in enumerate(network.layers):
        if layer.settings().get("out_features", 0) >= 4096:
            network = network.change(index, {"out_features": QUICK_FEATURES})
    return replace(preset, network=network.with_input(network.input[0], QUICK_SIDE, QUICK_SIDE))


def sizes(low: int, high: int) -> st.SearchStrategy[int | list[int]]:
    """An integer, or [height, width]."""
    return st.integers(low, high) | st.lists(st.integers(low, high), min_size=2, max_size=2)


def paddings(high: int) -> st.SearchStrategy[Any]:
    """Every form of padding."""
    sides = st.lists(st.integers(0, high), min_size=4, max_size=4)
    return sizes(0, high) | sides | st.sampled_from(["valid", "same"])


def convolutions() -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(
        {"type": st.just("conv2d"), "out_channels": st.integers(1, 6), "kernel_size": sizes(1, 4)},
        optional={
            "stride": sizes(1, 3),
            "padding": paddings(3),
            "dilation": sizes(1, 2),
            "groups": st.integers(1, 3),
            "bias": st.booleans(),
            "trainable": st.booleans(),
        },
    )


def pools() -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(
        {"type": st.sampled_from(["max_pool2d", "avg_pool2d"]), "kernel_size": sizes(1, 4)},
        optional={"stride": sizes(1, 4), "padding": paddings(2), "ceil_mode": st.booleans()},
    )


def linears() -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(
        {"type": st.just("linear"), "out_features": st.integers(1, 8)},
        optional={"bias": st.booleans(), "in_features": st.integers(1, 8), "trainable": st.booleans()},
    )


def maps() -> st.SearchStrategy[list[int]]:
    """Inputs of a few channels and pixels."""
    return st.tuples(st.integers(1, 4), st.integers(1, 13), st.integers(1, 13)).map(list)


# Layers that fit an input, by type. A type that is not here is drawn with the settings of its `example`.


def _fitting_convolution(shape: Shape) -> st.SearchStrategy[Entry]:
    channels, *sides = shape
    groups = st.sampled_from([count for count in (1, 2, 3) if channels % count == 0])
    return groups.flatmap(
        lambda count: st.fixed_dictionaries(
            {
                "out_channels": st.integers(1, 6 // count).map(lambda number: number * count),
                "kernel_size": sizes(1, min(3, *sides)),
                "groups": st.just(count),
            },
            optional={
                "stride": sizes(1, 2),
                "padding": paddings(2),
                "dilation": sizes(1, 2),
                "bias": st.booleans(),
                "trainable": st.booleans(),
                "init": st.just({"std": 0.25, "bias": 0.5}),
            },
        )
    )


def _fitting_pool(shape: Shape) -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(
        {"kernel_size": sizes(1, min(3, *shape[1:]))},
        optional={"stride": sizes(1, 3), "padding": paddings(1), "ceil_mode": st.booleans()},
    )


def _fitting_norm(shape: Shape) -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(
        {"size": st.integers(1, 5), "groups": st.sampled_from([count for count in (1, 2, 3) if shape[0] % count == 0])},
        optional={
            "alpha": st.floats(0, 1),
            "k": st.floats(1, 2),
            "region": st.sampled_from(["across_channels", "within_channel"]),
        },
    )


FITTING: Mapping[str, Callable[[Shape], st.SearchStrategy[Entry]]] = {
    "conv2d": _fitting_convolution,
    "max_pool2d": _fitting_pool,
    "avg_pool2d": _fitting_pool,
    "local_response_norm": _fitting_norm,
    "adaptive_avg_pool2d": lambda shape: st.fixed_dictionaries({"output_size": sizes(1, 4)}),
    "batch_norm": lambda shape: st.fixed_dictionaries(
        {}, optional={"affine": st.booleans(), "momentum": st.floats(0, 1), "trainable": st.booleans()}
    ),
    "unflatten": lambda shape: st.sampled_from(
        [{"unflattened_size": [shape[0] // side, side, 1]} for side in (1, 2, 3) if shape[0] % side == 0]
    ),
    "dropout": lambda shape: st.fixed_dictionaries({}, optional={"p": st.floats(0, 1)}),
    "linear": lambda shape: st.fixed_dictionaries(
        {"out_features": st.integers(1, 8)},
        optional={"bias": st.booleans(), "in_features": st.just(shape[0]), "trainable": st.booleans()},
    ),
}
MOST_VALUES = 2000
"""The most values of an output, so that a test can run the network."""


def fits(entry: Entry, *shapes: Shape) -> bool:
    """Return whether a layer can read inputs of these shapes, and gives an output that is small enough."""
    inputs = [f"input{number}" for number in range(len(shapes))] if len(shapes) > 1 else None
    try:
        output = read_layer({**entry, "inputs": inputs} if inputs else entry, "layer").output_shape(shapes)
    except ShapeError:
        return False
    return elements(output) <= MOST_VALUES


SMALLER = {"out_channels": 3, "out_features": 3, "kernel_size": 1, "padding": 0, "unflattened_size": [6, 1, 1]}


def smallest(type_name: str) -> Entry:
    """Return a layer of a type with the settings of its `example`, but small."""
    example = EDITABLE_TYPES[type_name].example
    return {"type": type_name, **{key: SMALLER.get(key, value) for key, value in example.items()}}


SINGLE = [name for name, cls in EDITABLE_TYPES.items() if cls.most_inputs == 1]
JOINS = [name for name, cls in EDITABLE_TYPES.items() if cls.most_inputs != 1]
READING = {
    3: [*["conv2d"] * 4, *(name for name in SINGLE if fits(smallest(name), (6, 4, 4)))],
    1: [*["linear"] * 4, *(name for name in SINGLE if fits(smallest(name), (6,)))],
}
"""The types that read maps, and those that read vectors; most networks learn something."""


class _Growing:
    """A network that grows from its input to its output, layer by layer: each is drawn so that it fits."""

    def __init__(self, draw: st.DrawFn, input: list[int]) -> None:
        self.draw, self.input = draw, input
        self.entries: list[Entry] = []
        self.shapes: dict[str, Shape] = {"input": tuple(input)}
        self.last = "input"

    @property
    def shape(self) -> Shape:
        """The shape of the last output."""
        return self.shapes[self.last]

    def add(self, entry: Entry, *inputs: str) -> str:
        """Add a layer that reads `inputs`, the last one if none are named, and return its name."""
        read = inputs or (self.last,)
        name = f"{entry['type']}{sum(other['type'] == entry['type'] for other in self.entries) + 1}"
        self.entries.append({**entry, "name": name, **({"inputs": list(read)} if read != (self.last,) else {})})
        named = {**entry, "inputs": list(read)} if len(read) > 1 else entry
        self.shapes[name] = read_layer(named, name).output_shape(tuple(self.shapes[one] for one in read))
        self.last = name
        return name

    def layer(self) -> None:
        """Add a layer of any type."""
        name = self.draw(st.sampled_from(READING[len(self.shape)]))
        drawn = {"type": name, **self.draw(FITTING[name](self.shape))} if name in FITTING else smallest(name)
        candidates = (drawn, smallest(name), {"type": "relu"})
        self.add(next(entry for entry in candidates if fits(entry, self.shape)))

    def keeping(self, source: str, channels: int) -> str:
        """Add a weighted layer that keeps a map's height and width."""
        if len(self.shapes[source]) == 1:
            return self.add({"type": "linear", "out_features": channels}, source)
        kernel = self.draw(st.sampled_from([1, 3]))
        padding = {"padding": kernel // 2} if kernel > 1 else {}
        return self.add({"type": "conv2d", "out_channels": channels, "kernel_size": kernel, **padding}, source)

    # Joins of branches. Each reads the last output, and adds a new last one.

    def residual(self) -> None:
        """Join the output of a branch from the last output with that output, or with a projection of it."""
        source, channels = self.last, self.shape[0]
        branch = self.keeping(source, channels)
        if self.draw(st.booleans()):
            branch = self.add({"type": self.draw(st.sampled_from(["relu", "batch_norm", "dropout"]))})
        other = self.keeping(source, channels) if self.draw(st.booleans()) else source
        self.join(branch, other)

    def skip(self) -> None:
        """Join the last output with any earlier one of the same shape."""
        alike = [name for name, shape in self.shapes.items() if shape == self.shape]
        self.join(self.last, self.draw(st.sampled_from(alike)))

    def join(self, *inputs: str) -> None:
        """Add a layer that reads several, in any order."""
        shapes = [self.shapes[name] for name in inputs]
        types = [name for name in JOINS if fits({"type": name}, *shapes)]
        if types:
            self.add({"type": self.draw(st.sampled_from(types))}, *self.draw(st.permutations(inputs)))
        else:
            self.add({"type": "relu"})

    def branches(self) -> None:
        """Concatenate the outputs of two or three branches from the last output."""
        source = self.last
        widths = self.draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
        self.add({"type": "concat"}, *[self.keeping(source, width) for width in widths])

    def gate(self) -> None:
        """Multiply each channel of the last output by a number that follows from all of it (squeeze and excitation)."""
        source, channels = self.last, self.shape[0]
        if len(self.shape) == 3:
            self.add({"type": "adaptive_avg_pool2d", "output_size": 1})
            self.add({"type": "conv2d", "out_channels": channels, "kernel_size": 1})
        else:
            self.add({"type": "linear", "out_features": channels})
        self.add({"type": "mul"}, *self.draw(st.permutations([self.add({"type": "sigmoid"}), source])))


@st.composite
def networks(draw: st.DrawFn, *, working: bool = False) -> Network:
    """A network of 4 to 12 layers of every type, a third of them with branches; without `working`, half are broken."""
    growing = _Growing(draw, draw(st.tuples(st.integers(1, 4), st.integers(2, 10), st.integers(2, 10)).map(list)))
    count = draw(st.integers(4, 12))
    joins = sorted(draw(st.sampled_from([[], [], [], [], [0], [1], [2, 3]])))
    while len(growing.entries) < count:
        if joins and len(growing.entries) >= joins[0]:
            del joins[0]
            room = count - len(growing.entries) >= 4
            forms = [growing.skip, growing.residual, growing.branches, growing.gate] if room else [growing.skip]
            draw(st.sampled_from(forms))()
        else:
            growing.layer()
    network = read_network({"input": growing.input, "layers": growing.entries})
    network = network.with_towers(draw(st.sampled_from([1, 1, 2, 3])))
    return network if working or draw(st.booleans()) else draw(broken(network))


@st.composite
def broken(draw: st.DrawFn, network: Network) -> Network:
    """A network after a change that breaks one of its layers, or, if that is not possible, one that breaks none."""
    for _ in range(draw(st.integers(1, 2))):
        kinds = [kind for kind in (_other_settings, _other_places, _other_shapes, _other_input) if any(kind(network))]
        try:
            network = draw(st.sampled_from(list(draw(st.sampled_from(kinds))(network))))()
        except SettingError:
            continue
    return network


def _other_settings(network: Network) -> Iterator[Callable[[], Network]]:
    """Yield edits of a layer's settings with which it can't read its input."""
    for index, layer in enumerate(network.layers):
        for change in BREAKING.get(layer.type, ()):
            yield partial(network.change, index, change)


BREAKING: Mapping[str, tuple[dict[str, Any], ...]] = {
    "conv2d": ({"in_channels": 17}, {"groups": 5}, {"kernel_size": 40, "padding": 0}),
    "linear": ({"in_features": 13},),
    "max_pool2d": ({"kernel_size": 20, "padding": 0}, {"padding": 9}),
    "avg_pool2d": ({"kernel_size": 20, "padding": 0}, {"padding": 9}),
    "local_response_norm": ({"groups": 5},),
}


def _other_places(network: Network) -> Iterator[Callable[[], Network]]:
    """Yield edits that put a layer for vectors where there is a map, or one for maps where there is a vector."""
    for index, row in enumerate(analyse(network).rows):
        if row.inputs:
            name = {3: "linear", 1: "conv2d"}[len(row.inputs[0])]
            yield partial(network.insert_between, index, 0, read_layer(smallest(name), name))


def _other_shapes(network: Network) -> Iterator[Callable[[], Network]]:
    """Yield edits that give one input of a join another number of channels or features."""
    for read in network.sources:
        for source in read if len(read) > 1 else ():
            key = None if source == IMAGE else network.layers[source].produces
            if key is not None:
                yield partial(network.change, source, {key: 11, **({"groups": 1} if key == "out_channels" else {})})


def _other_input(network: Network) -> Iterator[Callable[[], Network]]:
    """Yield the edit to an image of one pixel with one more channel."""
    yield partial(network.with_input, network.input[0] + 1, 1, 1)
