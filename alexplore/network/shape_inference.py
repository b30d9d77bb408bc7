"""The shapes of all outputs of a network, without its other numbers."""

from __future__ import annotations

from alexplore.network.graph import IMAGE, Network
from alexplore.network.shapes import Shape, ShapeError


def shapes_until(network: Network, stop: int) -> list[Shape]:
    """Return the shapes of the network's input and of the outputs of the layers before position `stop`.

    The shape of position i stands at i + 1, so that `IMAGE` stands first.

    Raises:
        ShapeError: one of these layers can't read its input.
    """
    shapes: list[Shape] = [network.input]
    for position in range(stop):
        inputs = tuple(shapes[source - IMAGE] for source in network.sources[position])
        shapes.append(network.layers[position].output_shape(inputs))
    return shapes


def reads_all(network: Network) -> bool:
    """Return whether every layer can read its input."""
    try:
        shapes_until(network, len(network.layers))
    except ShapeError:
        return False
    return True
