"""A network as Keras 3 code, for every backend; maps have their channels last there.

Layers one after another are a `keras.Sequential`; a network with branches is a `keras.Model` of the functional API.
"""

from __future__ import annotations

import re

from alexplore.export.python_code import (
    WIDTH,
    Argument,
    call,
    call_arguments,
    heading,
    helpers_text,
    one_line,
    quoted,
    variables,
)
from alexplore.network.analysis import Analysis
from alexplore.network.calls import Call
from alexplore.network.graph import Network
from alexplore.network.row import Row
from alexplore.presets.preset import Preset

OWN_INITIAL_WEIGHTS = "; initial weights are Keras's own."


def export(preset: Preset, analysis: Analysis) -> str:
    """Return the text of a module with one function, which builds a model.

    Raises:
        Unsupported: Keras has no equivalent of a layer.
    """
    network, rows = preset.network, analysis.rows
    calls = [_calls(network, row) for row in rows]
    helpers = helpers_text(made for of_row in calls for made in of_row)
    channels, height, width = network.input
    own = any(row.layer.neurons and row.layer.initial_weights is None for row in rows)
    name = "_".join(re.findall(r"[a-z0-9]+", preset.name.lower())) or "network"
    body = _sequential(preset, calls, name) if network.is_chain else _functional(preset, rows, calls, name, helpers)
    return (
        heading(preset, rows, "keras")
        + f"\nimport keras\nfrom keras import layers{', ops' if helpers else ''}\n\n"
        + helpers
        + f"\ndef build_{name}():\n"
        + f'    """Reads (N, {height}, {width}, {channels}) images{OWN_INITIAL_WEIGHTS if own else "."}"""\n'
        + body
        + f'if __name__ == "__main__":\n    build_{name}().summary()\n'
    )


def _calls(network: Network, row: Row) -> list[Call]:
    """Return Keras's layers for a layer; a flatten whose order matters comes after a permutation to PyTorch's order."""
    calls = row.layer.keras_calls(row.inputs, network.free_name(f"{row.layer.name}_pad"))
    if flattens(row) and not in_any_order(network, row.index - 1):
        name = network.free_name(f"{row.layer.name}_channels_first")
        calls = [Call("layers.Permute", ((3, 1, 2),), {"name": name}), *calls]
    return calls


def flattens(row: Row) -> bool:
    """Return whether a layer makes a map a vector in which the channels' place matters."""
    assert row.output is not None
    (channels, *size), *_ = row.inputs
    return bool(size) and len(row.output) == 1 and channels > 1 and size != [1, 1]


def in_any_order(network: Network, position: int) -> bool:
    """Return whether the features of a vector can stand in Keras's order, height before width before channels.

    They can where all that reads them are linear layers, whose weights are in the order of what they read, and layers
    that treat each feature by itself.
    """
    readers = [network.layers[reader] for reader in network.readers[position]]
    return bool(readers) and all(
        layer.neurons or (layer.features_in_any_order and in_any_order(network, reader))
        for layer, reader in zip(readers, network.readers[position], strict=True)
    )


def _input(preset: Preset) -> str:
    channels, height, width = preset.network.input
    return f"keras.Input(({height}, {width}, {channels}), name={quoted(preset.network.free_name('images'))})"


def _sequential(preset: Preset, calls: list[list[Call]], name: str) -> str:
    """Return the body of a function that returns a `keras.Sequential`."""
    body = "".join(call(made.name, call_arguments(made), 12, after=",") for of_row in calls for made in of_row)
    return (
        f"    return keras.Sequential(\n        [\n            {_input(preset)},\n{body}        ],\n"
        f"        name={quoted(name)},\n    )\n\n\n"
    )


def _functional(preset: Preset, rows: tuple[Row, ...], calls: list[list[Call]], name: str, helpers: str) -> str:
    """Return the body of a function that returns a `keras.Model`."""
    images = preset.network.free_name("images")
    names = variables(preset.network, images, helpers)
    text = f"    {images} = {_input(preset)}\n"
    for row, of_row in zip(rows, calls, strict=True):
        read = [names[source] for source in row.sources]
        output = names[row.index - 1]
        value: Argument = read[0] if row.layer.most_inputs == 1 else read
        for made in of_row:
            text += _applied(made, value, f"{output} = ")
            value = output
    return text + f"    return keras.Model({images}, {names[len(rows) - 1]}, name={quoted(name)})\n\n\n"


def _applied(made: Call, value: Argument, before: str) -> str:
    """Return a statement that makes a layer and calls it with `value`; a list that is too long has a line an item."""
    start = f"{made.name}({', '.join(map(one_line, call_arguments(made)))})"
    if isinstance(value, list) and len(f"    {before}{start}(") <= WIDTH:
        return call(start, [value], 4, before)
    return call(made.name, call_arguments(made), 4, before, f"({one_line(value)})")
