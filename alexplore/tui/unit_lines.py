"""A unit of a feature map: which one is selected, and the pixels that it sees, outlined on the image. No Textual."""

from __future__ import annotations

from dataclasses import dataclass

from alexplore.core.inert import inert_line
from alexplore.core.picture import Picture
from alexplore.network.row import Row
from alexplore.render.inside_pictures import framed
from alexplore.render.wrapping import wrap_cells
from alexplore.runs.inside import FeatureMaps
from alexplore.runs.look import Box
from alexplore.tui.picture_lines import GAP, Draw, Drawn, Line, beside, half_block_lines, width_of

IMAGE_BYTES, MAP_BYTES = 3500, 2500
"""Of the image and of the map, which are drawn side by side."""


@dataclass(frozen=True)
class Unit:
    """A unit by its map's position among those that are shown, its row and its column."""

    map: int
    row: int
    column: int

    @classmethod
    def middle(cls, maps: FeatureMaps) -> Unit:
        """Return the unit in the middle of the first map."""
        _, rows, columns = maps.maps.codes.shape
        return cls(0, rows // 2, columns // 2)

    def moved(self, maps: FeatureMaps, by: tuple[int, int, int] = (0, 0, 0)) -> Unit:
        """Return the unit `by` so many maps, rows and columns farther; it stays inside the maps."""
        places = zip((self.map, self.row, self.column), by, maps.maps.codes.shape, strict=True)
        return Unit(*(min(max(0, place + step), size - 1) for place, step, size in places))


def covered(position: int, shown: int, size: int) -> tuple[int, int]:
    """Return the first and the last of the `size` units of an axis whose mean a map of `shown` has at a position.

    Source: PyTorch, `adaptive_avg_pool2d`, with which maps are recorded.
    """
    return position * size // shown, -(-(position + 1) * size // shown) - 1


def field_of(unit: Unit, maps: FeatureMaps, row: Row) -> Box:
    """Return the pixels of the network's input that a unit sees: what all units see that it is the mean of.

    `row` is the analysis of the layer that outputs the maps.
    """
    _, rows, columns = maps.maps.codes.shape
    _, height, width = maps.shape
    first_row, last_row = covered(unit.row, rows, height)
    first_column, last_column = covered(unit.column, columns, width)
    return (
        row.height.first(first_row),
        row.width.first(first_column),
        row.height.first(last_row) + row.height.size,
        row.width.first(last_column) + row.width.size,
    )


def scaled_box(box: Box, size: tuple[int, int], picture: Picture) -> Box:
    """Return a box of an input of `size` (height, width) in the pixels of a picture of it, which may be smaller."""
    high, wide = picture.height / size[0], picture.width / size[1]
    return int(box[0] * high), int(box[1] * wide), -int(-box[2] * high // 1), -int(-box[3] * wide // 1)


def unit_words(unit: Unit, maps: FeatureMaps, row: Row, size: tuple[int, int]) -> list[str]:
    """Return which unit it is, its output, and which of the input's `size` (height, width) pixels it sees."""
    _, rows, columns = maps.maps.codes.shape
    places = [
        _span(axis, *covered(position, shown, whole))
        for axis, position, shown, whole in (
            ("row", unit.row, rows, maps.shape[1]),
            ("column", unit.column, columns, maps.shape[2]),
        )
    ]
    value = float(maps.maps.values()[unit.map, unit.row, unit.column])
    mean = "" if (rows, columns) == maps.shape[1:] else "mean "
    top, left, bottom, right = field_of(unit, maps, row)
    outside = top < 0 or left < 0 or bottom > size[0] or right > size[1]
    seen = f"{bottom - top}×{right - left} pixels of {size[0]}×{size[1]}{', padding included' if outside else ''}"
    return [
        f"map {maps.channels[unit.map]} · {', '.join(places)} · {mean}{value:.3g}",
        f"sees {_span('row', top, bottom - 1)}, {_span('column', left, right - 1)}: {seen}",
    ]


def _span(name: str, first: int, last: int) -> str:
    return f"{name} {first}" if first == last else f"{name}s {first} to {last}"


def unit_drawn(
    picture: Picture,
    maps: FeatureMaps,
    row: Row,
    size: tuple[int, int],
    unit: Unit,
    room: tuple[int, int],
    draw: Draw = half_block_lines,
) -> Drawn:
    """Return an image with what a unit sees outlined in red, and beside it the unit's map with the unit in red.

    `size` are the height and width of the network's input, `room` the width and height of the pane in cells. In half
    blocks, an arrow key changes only the cells of the outline; in pixels, it would send both pictures again.
    """
    width, height = room
    unit = unit.moved(maps)
    words = [line for text in unit_words(unit, maps, row, size) for line in wrap_cells(text, max(10, width)) or [""]]
    left = max(1, height - len(words) - 1)
    outlined = framed(picture, scaled_box(field_of(unit, maps, row), size, picture))
    half = (width - GAP) // 2
    image = draw(outlined, max(half, min(picture.width, width - half // 2)), left, IMAGE_BYTES, blocks=True)
    codes = maps.maps.codes[unit.map]
    marked = framed(
        Picture(codes.shape[0], codes.shape[1], 1, codes.tobytes()),
        (unit.row, unit.column, unit.row + 1, unit.column + 1),
    )
    map_lines = draw(marked, width - width_of(image) - GAP, left, MAP_BYTES, blocks=True)
    lines: list[Line] = [[(line, "")] for line in words]
    return Drawn(f"{inert_line(maps.layer)} · unit", [*lines, [], *beside(image, map_lines)])
