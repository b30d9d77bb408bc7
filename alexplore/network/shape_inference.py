"""The shapes of all outputs of a network, without its other numbers."""

from __future__ import annotations

from collections.abc import Sequence

from alexplore.network.graph import IMAGE, Network
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import Shape, ShapeError


def shapes_until(network: Network, stop: int, input: Shape | None = None) -> list[Shape]:
    """Return the shapes of the network's input and of the outputs of the layers before position `stop`.

    `input` is the shape of another input than the network's own.

    The shape of the layer at position i has index i + 1; the shape of the input has index 0.

    Raises:
        ShapeError: one of these layers can't read its input.
    """
    shapes: list[Shape] = [input or network.input]
    for layer, sources in zip(network.layers[:stop], network.sources, strict=False):
        shapes.append(layer.output_shape(tuple([shapes[source - IMAGE] for source in sources])))
    return shapes


def known_shapes(network: Network, stop: int, first: Sequence[Shape | None] = ()) -> list[Shape | None]:
    """Return the shapes of `shapes_until`, None for a layer that can't read its input or depends on one that can't.

    `first` are the first of these shapes, if they are already known.
    """
    shapes = list(first) or [network.input]
    layers, sources = network.layers, network.sources
    for position in range(len(shapes) + IMAGE, stop):
        inputs = tuple([shape for source in sources[position] if (shape := shapes[source - IMAGE]) is not None])
        try:
            shapes.append(layers[position].output_shape(inputs) if len(inputs) == len(sources[position]) else None)
        except ShapeError:
            shapes.append(None)
    return shapes


def reads_all(network: Network, input: Shape | None = None) -> bool:
    """Return whether every layer can read its input, for the network's own input or another one."""
    try:
        shapes_until(network, len(network.layers), input)
    except ShapeError:
        return False
    return True


def suggest_inputs(network: Network, index: int, cls: type[Layer]) -> tuple[str, str]:
    """Return two layers that a new layer of type `cls` at position `index` can read: the layer before it, and the
    nearest one above whose output it can be combined with; the same layer twice if there is none.
    """
    last = network.name_at(index - 1)
    try:
        shapes = shapes_until(network, index)
    except ShapeError:
        return last, last
    for position in range(index - 2, IMAGE - 1, -1):
        names = last, network.name_at(position)
        try:
            cls(name="new", inputs=names).output_shape((shapes[index - 1 - IMAGE], shapes[position - IMAGE]))
        except ShapeError:
            continue
        return names
    return last, last
