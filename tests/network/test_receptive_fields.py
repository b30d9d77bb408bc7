"""What an output sees of the input: the reach of a gradient through layers of ones, in PyTorch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.row import Row
from alexplore.network.shapes import Shape
from alexplore.presets.library import load_preset
from tests.support.examples import examples
from tests.support.layers import Case
from tests.support.networks import Entry

windows = st.builds(
    lambda kernel, stride, dilation, before, after: {
        "kernel_size": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": [before[1], after[1], before[0], after[0]],
    },
    st.lists(st.integers(1, 4), min_size=2, max_size=2),
    st.lists(st.integers(1, 3), min_size=2, max_size=2),
    st.lists(st.integers(1, 2), min_size=2, max_size=2),
    st.lists(st.integers(0, 2), min_size=2, max_size=2),
    st.lists(st.integers(0, 2), min_size=2, max_size=2),
)


def convolution(maps: Tensor, layer: Entry) -> Tensor:
    ones = torch.ones(1, 1, *layer["kernel_size"], dtype=maps.dtype)
    return F.conv2d(F.pad(maps, layer["padding"]), ones, None, layer["stride"], 0, layer["dilation"])


def rows_of(layers: list[Entry], size: tuple[int, int]) -> tuple[Row, ...]:
    entries = [{"type": "conv2d", "out_channels": 1, **layer} for layer in layers]
    return analyse(read_network({"input": [1, *size], "layers": entries})).rows


def reach(gradient: Tensor) -> tuple[int, int]:
    """The first and last position that is not zero."""
    seen = gradient.nonzero().flatten()
    return int(seen[0]), int(seen[-1])


@examples(60)
@given(st.lists(windows, min_size=1, max_size=4))
def test_an_output_sees_its_receptive_field(layers: list[Entry]) -> None:
    size = (300, 290)
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    maps = image
    for layer in layers:
        maps = convolution(maps, layer)
    row = rows_of(layers, size)[-1]
    assert row.output is not None and row.output[1:] == tuple(maps.shape[2:])
    # The output in the middle of the map.
    at = [outputs // 2 for outputs in maps.shape[2:]]
    (gradient,) = torch.autograd.grad(maps[0, 0, at[0], at[1]], image)
    for axis, position, pixels, seen in zip(
        (row.height, row.width), at, size, (gradient[0, 0].sum(1), gradient[0, 0].sum(0)), strict=True
    ):
        first = axis.start + position * axis.jump
        last = first + axis.size - 1
        if first >= 0 and last < pixels:
            assert reach(seen) == (first, last)


@examples(60)
@given(windows, st.integers(8, 30), st.integers(8, 30))
def test_border_that_no_window_reaches(layer: Entry, height: int, width: int) -> None:
    image = torch.ones(1, 1, height, width, requires_grad=True)
    # A dilated kernel spans the pixels between its taps too.
    spans = [d * (k - 1) + 1 for d, k in zip(layer["dilation"], layer["kernel_size"], strict=True)]
    maps = convolution(image, {**layer, "kernel_size": spans, "dilation": 1})
    (gradient,) = torch.autograd.grad(maps.sum(), image)
    row = rows_of([layer], (height, width))[0]
    for unread, size, seen in zip(
        row.unread, (height, width), (gradient[0, 0].sum(1), gradient[0, 0].sum(0)), strict=True
    ):
        assert unread == size - 1 - reach(seen)[1]


@pytest.mark.parametrize(("preset", "unread"), [("torchvision", 0), ("fmnist-valid", 1), ("fmnist", 2), ("paper", 0)])
def test_border_of_the_presets(preset: str, unread: int) -> None:
    """conv1 of torchvision reaches all of its 224 pixels: 2 + 224 − ((55 − 1)·4 + 11) is −1, a pixel of the padding."""
    network = load_preset(preset).network
    row = analyse(network).rows[0]
    layer = row.layer.settings()
    channels, *size = network.input
    image = torch.ones(1, channels, *size, requires_grad=True)
    ones = torch.ones(1, channels, 11, 11)
    (gradient,) = torch.autograd.grad(F.conv2d(image, ones, None, 4, layer["padding"]).sum(), image)
    assert size[0] - 1 - reach(gradient[0, 0].sum(1))[1] == unread
    assert row.unread == (unread, unread)


def test_a_linear_layer_sees_the_whole_map() -> None:
    rows = {row.layer.name: row for row in analyse(load_preset("paper").network).rows}
    # 195 pixels at each of 6 positions, 32 pixels apart.
    assert rows["fc6"].height.size == 195 + 5 * 32
    assert rows["fc8"].height == rows["fc6"].height


VECTOR_READERS = [
    name for name, cls in LAYER_TYPES.items() if cls.reads_whole_vector and Case(cls, vector=True).is_readable
]


@pytest.mark.parametrize("name", VECTOR_READERS)
def test_a_layer_that_reads_a_whole_vector_sees_the_whole_map(name: str) -> None:
    """Once, also where another such layer reads it."""
    first: Entry = {"type": "conv2d", "out_channels": 2, "kernel_size": 3}
    last: Entry = {"type": "linear", "out_features": 2}
    layers = [first, {"type": "flatten"}, {"type": name, **LAYER_TYPES[name].example}, last]
    *_, flatten, tested, linear = analyse(read_network({"input": [3, 9, 7], "layers": layers})).rows
    assert (flatten.height.size, flatten.width.size) == (3, 3)
    assert (tested.height.size, tested.width.size) == (9, 7)
    assert (linear.height.size, linear.width.size) == (9, 7)


def test_rounding_up_reads_the_border() -> None:
    pool: Entry = {"type": "max_pool2d", "kernel_size": 2, "stride": 2}
    shape = [1, 7, 7]
    floor = analyse(read_network({"input": shape, "layers": [pool]})).rows[0]
    up = analyse(read_network({"input": shape, "layers": [{**pool, "ceil_mode": True}]})).rows[0]
    shapes: list[Shape | None] = [floor.output, up.output]
    assert shapes == [(1, 3, 3), (1, 4, 4)]
    assert (floor.unread, up.unread) == ((1, 1), (0, 0))
