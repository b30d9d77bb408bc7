"""Small networks, and random layers and networks that are small enough to run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset, shipped_names

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


LIGHT_MACS = 50_000_000
"""A network that takes more multiplications for an image is heavy to build and run in a test."""


def presets_to_run() -> list[Any]:
    """Return the names of the shipped presets, as parameters of a test that builds or runs the network.

    The large ones make the test heavy.
    """
    heavy = [name for name in shipped_names() if analyse(load_preset(name).network).totals.macs > LIGHT_MACS]
    return [pytest.param(name, marks=[pytest.mark.heavy] * (name in heavy)) for name in shipped_names()]


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


def others() -> st.SearchStrategy[Entry]:
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("adaptive_avg_pool2d"), "output_size": sizes(1, 5)}),
        st.fixed_dictionaries(
            {"type": st.just("local_response_norm"), "size": st.integers(1, 5), "groups": st.integers(1, 2)},
            optional={
                "alpha": st.floats(0, 1),
                "k": st.floats(1, 2),
                "region": st.sampled_from(["across_channels", "within_channel"]),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.just("batch_norm")}, optional={"affine": st.booleans(), "momentum": st.floats(0, 1)}
        ),
        st.fixed_dictionaries({"type": st.just("dropout")}, optional={"p": st.floats(0, 1)}),
        st.sampled_from([{"type": name} for name in ("relu", "tanh", "sigmoid", "softmax", "flatten")]),
    )


def linears() -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(
        {"type": st.just("linear"), "out_features": st.integers(1, 8)},
        optional={"bias": st.booleans(), "in_features": st.integers(1, 8), "trainable": st.booleans()},
    )


def maps() -> st.SearchStrategy[list[int]]:
    """Inputs of a few channels and pixels."""
    return st.tuples(st.integers(1, 4), st.integers(1, 13), st.integers(1, 13)).map(list)


@st.composite
def networks(draw: st.DrawFn, *, working: bool = False) -> Network:
    """A stack of layers of every type; without `working`, often one that is broken somewhere."""
    layers = st.one_of(convolutions(), pools(), others(), linears())
    network = read_network({"input": draw(maps()), "layers": draw(st.lists(layers, min_size=1, max_size=8))})
    network = network.with_towers(draw(st.integers(1, 3)))
    broken = analyse(network).broken
    if working and broken:
        if broken.index == 1:
            return Network((2, 5, 5), read_network({"input": [2, 5, 5], "layers": [{"type": "relu"}]}).layers)
        network = Network(network.input, network.layers[: broken.index - 1], network.towers)
    return network
