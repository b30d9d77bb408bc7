"""A network as an SVG picture: a block for each layer from left to right, parallel branches below each other.

A block is as high as its output's map, and wider the more channels it has, both on a scale that shows small ones too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from math import log2

from alexplore.network.analysis import Analysis
from alexplore.network.graph import IMAGE, Network
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import Shape, shape_text

PITCH, LANE, TOP = 46, 112, 8
HIGHEST, WIDEST, SMALLEST = 72, 36, 5
NAME_LINES = 2  # names of neighbours stand in turn on two lines, so that long ones fit

ROLES = ("pool", "norm", "activation", "merge")


def graph_picture(analysis: Analysis, *, names: bool = True) -> str:
    """Return an `<svg>` element, with the layers' names below the blocks, or without."""
    network = analysis.network
    places = place_layers(network)
    lanes = 1 + max(lane for _, lane in places.values())
    columns = 1 + max(column for column, _ in places.values())
    width, height = columns * PITCH + 2 * TOP, lanes * LANE + 2 * TOP
    lines = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">']
    lines += _edges(network, places)
    lines.append(_block("input", f"input {shape_text(network.input)}", network.input, "input", places[IMAGE], names))
    for row in analysis.rows:
        shape = "–" if row.output is None else shape_text(row.output)
        title = f"{row.layer.name} {row.layer.type} {shape}"
        lines.append(_block(row.layer.name, title, row.output, _kind(row.layer), places[row.index - 1], names))
    return "\n".join([*lines, "</svg>"]) + "\n"


def place_layers(network: Network) -> Mapping[int, tuple[int, int]]:
    """Return the column and the lane of each layer by its position, and of the input.

    A layer stands right of all that it reads. The first layer that reads another one stays in its lane, the others have
    the next lane that is free until branches join again.
    """
    places = {IMAGE: (0, 0)}
    busy_until: dict[int, int] = {0: 0}  # the last column in use, by lane
    continued: set[int] = set()
    for position, read in enumerate(network.sources):
        column = 1 + max(places[source][0] for source in read)
        source = min(read, key=lambda one: places[one][1])
        lane = places[source][1]
        if (len(read) == 1 and source in continued) or busy_until.get(lane, -1) >= column:
            lane = next(free for free in range(len(network.layers) + 1) if _is_free(network, places, free, position))
        continued.add(source)
        places[position] = column, lane
        busy_until[lane] = max(busy_until.get(lane, 0), column)
    return places


def _is_free(network: Network, places: Mapping[int, tuple[int, int]], lane: int, position: int) -> bool:
    """Return whether nothing in a lane is read by `position` or by a layer that is not placed yet."""
    return not any(
        own == lane and any(reader >= position for reader in network.readers[other])
        for other, (_, own) in places.items()
    )


def _kind(layer: Layer) -> str:
    return "weights" if layer.neurons else layer.role if layer.role in ROLES else "other"


def _size(shape: Shape | None) -> tuple[float, float]:
    """Return width and height of a block."""
    if shape is None:
        return SMALLEST, SMALLEST
    width = min(WIDEST, SMALLEST + 3 * log2(max(1, shape[0])))
    if len(shape) == 1:
        return SMALLEST, min(HIGHEST, SMALLEST + 6 * log2(max(1, shape[0])))
    return width, min(HIGHEST, SMALLEST + 8.5 * log2(max(1, *shape[1:])))


def _centre(place: tuple[int, int]) -> tuple[float, float]:
    column, lane = place
    return TOP + (column + 0.5) * PITCH, TOP + lane * LANE + HIGHEST / 2


def _block(name: str, title: str, shape: Shape | None, kind: str, place: tuple[int, int], names: bool) -> str:
    (x, y), (width, height) = _centre(place), _size(shape)
    rect = f'<rect class="{kind}" x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width:.0f}"'
    rect += f' height="{height:.0f}" rx="2"'
    if not names:
        return rect + "/>"
    below = TOP + place[1] * LANE + HIGHEST + 14 + 12 * (place[0] % NAME_LINES)
    label = f'<text x="{x:.0f}" y="{below:.0f}" text-anchor="middle">{escape(_short(name))}</text>'
    return f"{rect}><title>{escape(title)}</title></rect>{label}"


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:6]}…{name[-7:]}"


def _edges(network: Network, places: Mapping[int, tuple[int, int]]) -> Iterator[str]:
    """Yield a line from each layer to each that reads it; those that skip layers bend away from the blocks between."""
    for position, read in enumerate(network.sources):
        for source in dict.fromkeys(read):
            (x1, y1), (x2, y2) = _centre(places[source]), _centre(places[position])
            if y1 == y2 and places[position][0] - places[source][0] > 1:
                bend = y1 - HIGHEST / 2 - 4
                yield f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {bend:.0f} {x2:.0f} {bend:.0f} {x2:.0f} {y2:.0f}"/>'
            elif y1 == y2:
                yield f'<path d="M{x1:.0f} {y1:.0f}H{x2:.0f}"/>'
            else:
                middle = (x1 + x2) / 2
                yield f'<path d="M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"/>'
