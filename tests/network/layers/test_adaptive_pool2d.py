"""Pools to an output of one size."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alexplore.core.settings import SettingError, toml_text
from alexplore.network.analysis import analyse
from alexplore.network.formulas import explain
from alexplore.network.graph import Network, read_network
from alexplore.network.layers.adaptive_pool2d import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AdaptivePool2d
from alexplore.presets.reader import parse_preset
from alexplore.presets.text import preset_text
from alexplore.training.model.build import build_layer
from tests.support.examples import examples
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case
from tests.support.networks import maps, sizes

POOLS = [(AdaptiveAvgPool2d, nn.AdaptiveAvgPool2d, torch.mean), (AdaptiveMaxPool2d, nn.AdaptiveMaxPool2d, torch.amax)]
TYPES = [cls for cls, _, _ in POOLS]


def network(shape: list[int], cls: type[AdaptivePool2d], output_size: Any) -> Network:
    return read_network({"input": shape, "layers": [{"type": cls.type, "output_size": output_size}]})


def parts(size: int, outputs: int) -> list[tuple[int, int]]:
    """Begin and end of each part of an axis, as PyTorch's documentation has them."""
    return [(i * size // outputs, math.ceil((i + 1) * size / outputs)) for i in range(outputs)]


def as_pytorch_has_it(output_size: Any) -> Any:
    if isinstance(output_size, int):
        return output_size
    return tuple(None if size == "None" else size for size in output_size)


side = st.just("None") | st.integers(1, 16)
one_sided = st.lists(side, min_size=2, max_size=2)


@pytest.mark.parametrize("output_size", [1, [3, 5], [20, 4], ["None", 4], [5, "None"], ["None", "None"]], ids=str)
@pytest.mark.parametrize("cls", TYPES)
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_other_sizes(check: LayerCheck, cls: type[AdaptivePool2d], output_size: Any) -> None:
    check(Case(cls, {"output_size": output_size}))


@examples(60)
@pytest.mark.parametrize(("cls", "module", "function"), POOLS)
@given(shape=maps(), output_size=sizes(1, 16) | one_sided)
def test_parts_of_the_input(
    cls: type[AdaptivePool2d], module: Any, function: Any, shape: list[int], output_size: Any
) -> None:
    """Each output is the mean, or the maximum, of its part; the largest part is the window."""
    row = analyse(network(shape, cls, output_size)).rows[0]
    maps_ = torch.randn(2, *shape, dtype=torch.float64)
    found = build_layer(row.layer, row.inputs)(maps_)
    assert row.output == tuple(found.shape[1:])
    torch.testing.assert_close(found, module(as_pytorch_has_it(output_size))(maps_))
    rows, columns = (parts(size, outputs) for size, outputs in zip(shape[1:], row.output[1:], strict=True))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            torch.testing.assert_close(found[:, :, i, j], function(maps_[:, :, top:bottom, left:right], (2, 3)))
    assert row.windows is not None
    for window, axis in zip(row.windows, (rows, columns), strict=True):
        assert window.kernel == max(end - begin for begin, end in axis)
        steps = [right - left for (left, _), (right, _) in pairwise(axis)]
        assert window.stride >= max(steps, default=1)
    assert row.unread == (0, 0)


def test_the_axis_that_stays_reads_one_position() -> None:
    described = network([2, 9, 8], AdaptiveMaxPool2d, ["None", 4])
    row = analyse(described).rows[0]
    assert row.output == (2, 9, 4)
    assert (row.height.size, row.width.size) == (1, 2)
    height, width = explain(row, described)[:2]
    assert (height.quantity, height.text, height.note) == ("output, height", "9", "as its input's")
    assert (width.quantity, width.text, width.note) == ("output, width", "4", "whatever the input")
    assert row.layer.summary() == "None×4"


@pytest.mark.parametrize("value", [0, "None", ["None", 0], ["none", 4], [1, 2, 3], [True, 1]])
def test_sizes_that_are_refused(value: Any) -> None:
    with pytest.raises(SettingError) as refused:
        network([2, 9, 8], AdaptiveAvgPool2d, value)
    assert str(refused.value) == (
        f"layer adaptive_avg_pool2d1 (adaptive_avg_pool2d): output_size: found {toml_text(value)}, allowed: "
        'an integer ≥ 1 or [height, width], where "None" keeps the input\'s'
    )


def test_a_preset_with_a_one_sided_size() -> None:
    text = 'input = [3, 12, 12]\nlayers = [{ name = "p", type = "adaptive_avg_pool2d", output_size = ["None", 4] }]'
    preset = parse_preset(text, Path("one-sided.toml"))
    assert analyse(preset.network).output == (3, 12, 4)
    assert 'output_size = ["None", 4]' in preset_text(preset)
