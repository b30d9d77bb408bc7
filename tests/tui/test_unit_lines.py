"""The pixels that a unit of a feature map sees: against PyTorch's gradients, and where they are outlined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexplore.core.picture import Picture
from alexplore.network.analysis import analyse
from alexplore.network.row import Row
from alexplore.presets.library import load_preset
from alexplore.runs.inside import FeatureMaps, Quantised
from alexplore.tui.picture_lines import Line, beside, half_block_lines, width_of
from alexplore.tui.unit_lines import Unit, covered, field_of, scaled_box, unit_drawn, unit_words

SIZE = (28, 28)


def row_of(layer: str) -> Row:
    network = load_preset("fmnist-28").network
    return next(row for row in analyse(network).rows if row.layer.name == layer)


def maps_of(row: Row, side: int) -> FeatureMaps:
    """Return two maps, of `side` × `side` values, of a layer's 8th and 9th channel."""
    values = np.arange(2 * side * side, dtype=np.float32).reshape(2, side, side)
    assert row.output is not None
    channels, height, width = row.output
    return FeatureMaps(row.layer.name, 0, (channels, height, width), (7, 8), Quantised.of(values))


@pytest.mark.parametrize(("size", "shown"), [(28, 24), (28, 28), (13, 12), (55, 24), (6, 6)])
def test_a_reduced_map_covers_what_pytorch_takes_the_mean_of(size: int, shown: int) -> None:
    units = torch.zeros(1, 1, size, requires_grad=True)
    means = F.adaptive_avg_pool1d(units, shown)
    for position in range(shown):
        (gradient,) = torch.autograd.grad(means[0, 0, position], units, retain_graph=True)
        seen = gradient[0, 0].nonzero().flatten().tolist()
        assert covered(position, shown, size) == (seen[0], seen[-1])


@pytest.mark.parametrize(("layer", "side"), [("conv1", 24), ("conv2", 13), ("conv3", 6)])
def test_a_unit_sees_the_pixels_that_have_a_gradient(layer: str, side: int) -> None:
    """Convolutions and pools up to the layer as means of what they read, then the mean over `side` × `side` parts."""
    steps: list[torch.nn.Module] = []
    for one in analyse(load_preset("fmnist-28").network).rows:
        if one.windows:
            steps.append(torch.nn.AvgPool2d(one.windows[0].kernel, one.windows[0].stride, one.windows[0].before))
        if one.layer.name == layer:
            break
    image = torch.zeros(1, 1, *SIZE, requires_grad=True)
    row = row_of(layer)
    output = F.adaptive_avg_pool2d(torch.nn.Sequential(*steps)(image), side)
    unit = Unit(0, side // 2, side // 3)
    (gradient,) = torch.autograd.grad(output[0, 0, unit.row, unit.column], image)
    rows, columns = (gradient[0, 0].abs().sum(axis).nonzero().flatten().tolist() for axis in (1, 0))
    top, left, bottom, right = field_of(unit, maps_of(row, side), row)
    inside = max(0, top), max(0, left), min(SIZE[0], bottom), min(SIZE[1], right)
    assert inside == (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


def test_a_unit_stays_inside_its_maps() -> None:
    maps = maps_of(row_of("conv2"), 13)
    unit = Unit.middle(maps)
    assert unit == Unit(0, 6, 6)
    assert unit.moved(maps, (1, -2, 3)) == Unit(1, 4, 9)
    assert unit.moved(maps, (9, -99, 99)) == Unit(1, 0, 12)
    assert Unit(5, 20, 20).moved(maps) == Unit(1, 12, 12)  # of larger maps than these


def test_the_words_name_the_unit_its_output_and_what_it_sees() -> None:
    row = row_of("conv1")  # 5×5, stride 1, padding 2
    words = unit_words(Unit(1, 10, 3), maps_of(row, 28), row, SIZE)
    assert words[0] == "map 8 · row 10, column 3 · 1.07e+03"  # 784 + 10·28 + 3 = 1067
    assert words[1] == "sees rows 8 to 12, columns 1 to 5: 5×5 pixels of 28×28"
    words = unit_words(Unit(0, 0, 3), maps_of(row, 24), row, SIZE)
    assert words[0].startswith("map 7 · rows 0 to 1, columns 3 to 4 · mean")
    assert words[1] == "sees rows -2 to 3, columns 1 to 6: 6×6 pixels of 28×28, padding included"


def test_the_field_is_outlined_on_the_image_and_the_unit_marked_on_its_map() -> None:
    row = row_of("conv1")
    drawn: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []

    def draw(picture: Picture, columns: int, lines: int, most_bytes: int = 0, *, blocks: bool = False) -> list[Line]:
        assert blocks
        drawn.append(np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.width, -1))
        return [[("#" * min(columns, picture.width), "")]]

    shown = unit_drawn(Picture(*SIZE, 1, bytes(784)), maps_of(row, 28), row, SIZE, Unit(1, 10, 3), (70, 20), draw)
    image, unit_map = drawn
    red = image[..., 0] > image[..., 1].astype(int) + 100
    expected = np.zeros(SIZE, bool)
    expected[8:13, 1:6] = True
    expected[9:12, 2:5] = False
    assert (red == expected).all()
    (marked,) = np.argwhere(unit_map[..., 0] > unit_map[..., 1].astype(int) + 100).tolist()
    assert marked == [10, 3]
    assert len(shown.lines) == 4


def test_a_box_is_scaled_to_a_smaller_picture_of_the_input() -> None:
    assert scaled_box((10, 20, 31, 41), (224, 224), Picture(56, 56, 1, bytes(56 * 56))) == (2, 5, 8, 11)


@pytest.mark.parametrize("size", [(1, 1), (30, 10), (48, 17), (120, 50)])
def test_a_unit_fits_its_room(size: tuple[int, int]) -> None:
    row = row_of("conv1")
    shown = unit_drawn(
        Picture(*SIZE, 1, bytes(784)), maps_of(row, 24), row, SIZE, Unit(0, 5, 5), size, half_block_lines
    )
    if size[0] >= 30:
        assert width_of(shown.lines) <= size[0]
        assert len(shown.lines) <= size[1]


def test_lines_stand_side_by_side_in_one_column() -> None:
    lines = beside([[("ab", "")], [("c", "")]], [[("x", "")], [("y", "")], [("z", "")]])
    assert ["".join(text for text, _ in line) for line in lines] == ["ab  x", "c   y", "    z"]
