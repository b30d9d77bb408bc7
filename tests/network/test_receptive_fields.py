"""What an output sees of the input: the reach of a gradient through layers of ones, in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from alexplore.network.analysis import analyse
from alexplore.network.graph import IMAGE, Network, read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.base import Layer
from alexplore.network.receptive_field import Axis
from alexplore.network.row import Row
from alexplore.network.shapes import Shape
from alexplore.presets.library import load_preset
from tests.support.examples import examples
from tests.support.layers import Case
from tests.support.networks import Entry, networks

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
    size = (400, 390)
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


def reached(network: Network) -> dict[str, Tensor]:
    """Return the outputs (1, C, H, W) or (1, features) of every layer by name, and the image as "input".

    Every layer is replaced by a sum with positive weights over the values that it reads, as PyTorch's documentation
    says which these are; so a gradient is not zero exactly for the pixels that an output sees.
    """
    outputs = {"input": torch.ones(1, *network.input, dtype=torch.float64, requires_grad=True)}
    for index, layer in enumerate(network.layers):
        values = [outputs[name] for name in network.source_names(index)]
        outputs[layer.name] = summed(layer, values)
    return outputs


def summed(layer: Layer, values: list[Tensor]) -> Tensor:
    value, given = values[0], layer.settings()
    match layer.type:
        case "add" | "mul":
            value = sum(values[1:], value)
        case "concat":
            value = torch.cat(values, 1)
        case "unflatten":  # each output may be any feature
            value = value.mean().expand(1, *given["unflattened_size"])
        case _ if layer.slides or layer.fixes_size:
            channels, height, width = layer.output_shape((tuple(value.shape[1:]),))
            pool = F.adaptive_avg_pool2d if layer.fixes_size else partial(slid, given=given)
            value = pool(value.mean(1, keepdim=True), (height, width)).expand(1, channels, height, width)
        case "local_response_norm" if given["region"] == "within_channel":
            window = {"kernel_size": given["size"], "stride": 1, "padding": sides_of(given["size"])}
            value = slid(value, (value.shape[2], value.shape[3]), window)
        case "flatten":
            value = value.flatten(1)
        case "linear":
            value = value.mean(1, keepdim=True).expand(1, given["out_features"])
    return value


def sides_of(size: int) -> list[int]:
    """Return the padding with which `nn.LocalResponseNorm` takes `size` neighbours: more before where that is even."""
    return [size // 2, (size - 1) // 2] * 2


def slid(value: Tensor, size: tuple[int, int], given: dict[str, Any]) -> Tensor:
    """Return the mean of each window of each channel; `size` is the output's height and width."""
    kernel, dilation = pair(given["kernel_size"]), pair(given.get("dilation", 1))
    stride = pair(given["stride"] if given.get("stride") is not None else given["kernel_size"])
    left, right, top, bottom = sides(given["padding"], value.shape[2:], kernel, stride, dilation)
    # Windows that reach over the padding, in ceil_mode, see nothing more.
    needed = [(size[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    bottom, right = (max(0, needed[i] - value.shape[2 + i] - (top, left)[i]) for i in (0, 1))
    channels = value.shape[1]
    ones = torch.ones(channels, 1, *kernel, dtype=value.dtype) / (kernel[0] * kernel[1])
    windows = F.conv2d(F.pad(value, (left, right, top, bottom)), ones, None, stride, 0, dilation, channels)
    return windows[:, :, : size[0], : size[1]]


def pair(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def sides(
    padding: Any, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """Return what is padded left, right, above and below."""
    if padding == "same":  # TensorFlow's rule
        total = [
            max(0, (-(-size[i] // stride[i]) - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 - size[i])
            for i in (0, 1)
        ]
        return [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2]
    if padding == "valid":
        return [0, 0, 0, 0]
    if isinstance(padding, int) or len(padding) == 2:
        height, width = pair(padding)
        return [width, width, height, height]
    return list(padding)


@examples(60)
@given(networks(working=True))
def test_receptive_fields_over_several_paths(network: Network) -> None:
    """What the first output sees lies in its receptive field. Where all paths to a layer move by the same number of
    pixels from one output to the next, the output in the middle sees exactly its field, a jump further each.

    The image is enlarged, so that few fields are cut at its border.
    """
    network = network.with_input(network.input[0], *(side + 40 for side in network.input[1:]))
    assume(analyse(network).broken is None)  # of a flattened map that is added to a vector, for one
    outputs = reached(network)
    steps: dict[int, Any] = {IMAGE: (1, 1, network.input[1:])}
    for row in analyse(network).computed:
        assert row.output is not None
        output = outputs[row.layer.name]
        assert tuple(output.shape[1:]) == row.output
        aligned = len({steps[source] for source in row.sources}) == 1 and None not in map(steps.get, row.sources)
        aligned = aligned and not row.layer.fixes_size and len(row.output) == 3
        steps[row.index - 1] = (row.height.jump, row.width.jump, row.output[1:]) if aligned else None
        middle = [size // 2 for size in row.output[1:]]
        for _, axis, seen in seen_from(output, [0] * len(middle), outputs["input"], row):
            if seen:
                assert axis.start <= seen[0] and seen[1] < axis.start + axis.size
        for at, axis, seen in seen_from(output, middle, outputs["input"], row) if aligned else ():
            field = axis.start + at * axis.jump, axis.start + at * axis.jump + axis.size - 1
            pixels = network.input[1 if axis is row.height else 2]
            if field[0] >= 0 and field[1] < pixels:
                assert seen == field, row.layer


def seen_from(
    output: Tensor, place: list[int], image: Tensor, row: Row
) -> Iterator[tuple[int, Axis, tuple[int, int] | None]]:
    """Yield along height and width: the place, the axis, and the first and last pixel that the output there sees."""
    channels = output[0].movedim(0, -1)[tuple(place)] if place else output[0, :1]
    (gradient,) = torch.autograd.grad(channels.sum(), image, retain_graph=True)
    for axis, at, others in ((row.height, place[:1], (0, 2)), (row.width, place[1:], (0, 1))):
        seen = gradient[0].sum(others)
        yield (at or [0])[0], axis, reach(seen) if seen.any() else None


def test_a_gate_moves_as_the_map_that_it_scales() -> None:
    """The gate of a squeeze-and-excitation block sees the whole image everywhere, and has no jump of its own."""
    layers = [
        {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "squeeze", "type": "adaptive_avg_pool2d", "output_size": 1},
        {"name": "gate", "type": "sigmoid"},
        {"name": "scaled", "type": "mul", "inputs": ["gate", "conv1"]},
        {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
    ]
    rows = {row.layer.name: row for row in analyse(read_network({"input": [3, 32, 32], "layers": layers})).rows}
    assert rows["squeeze"].height == Axis(3 + 15 * 2, 32, -1)
    assert rows["scaled"].height == Axis(3 + 15 * 2, 2, -1)
    assert rows["conv2"].height == Axis(3 + 15 * 2 + 2 * 2, 2, -3)
