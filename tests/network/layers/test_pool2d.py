"""Max and average pools: dilation, which max pools alone have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from alexplore.core.settings import SettingError
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import read_layer
from alexplore.network.layers.pool2d import MaxPool2d
from alexplore.presets.reader import parse_preset
from alexplore.training.model.build import build_layer
from tests.support.examples import examples
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case
from tests.support.networks import Entry, maps, sizes


def network(*layers: Entry, shape: list[int]) -> Network:
    return read_network({"input": shape, "layers": list(layers)})


@pytest.mark.parametrize(
    "case",
    [
        {"dilation": 2},
        {"dilation": [1, 3], "stride": 1, "padding": 1},
        {"dilation": 2, "kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": [0, 1, 1, 0]},
        {"dilation": 2, "kernel_size": 3, "stride": 1, "padding": "same"},
        {"dilation": 3, "kernel_size": [2, 3], "stride": [2, 1], "padding": "same"},
    ],
    ids=str,
)
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_dilated_max_pools(check: LayerCheck, case: dict[str, Any]) -> None:
    check(Case(MaxPool2d, case))


@examples(150)
@given(
    shape=maps(),
    kernel_size=sizes(1, 4),
    stride=st.none() | sizes(1, 4),
    padding=sizes(0, 2),
    dilation=sizes(1, 3),
    ceil_mode=st.booleans(),
)
def test_dilated_max_pools_are_pytorchs(shape: list[int], **values: Any) -> None:
    given_ = {key: value for key, value in values.items() if value is not None}
    row = analyse(network({"type": "max_pool2d", **given_}, shape=shape)).rows[0]
    images = torch.randn(2, *shape)
    try:
        expected = F.max_pool2d(images, **given_)
    except RuntimeError as refused:
        assert row.output is None, f"PyTorch refuses: {refused}"
        return
    assert row.output == tuple(expected.shape[1:]), row.error
    assert torch.equal(build_layer(row.layer, row.inputs)(images), expected)


@examples(60)
@given(st.integers(6, 14), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_same_padding_of_dilated_pools_is_tensorflows(size: int, kernel: int, stride: int, dilation: int) -> None:
    """As many outputs as strides fit, from values that are padded on both sides, more after than before."""
    settings_ = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": "same"}
    layer = read_layer({"name": "pool", "type": "max_pool2d", **settings_}, "")
    maps_ = torch.randn(1, 2, size, size)
    found = build_layer(layer, ((2, size, size),))(maps_)
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
    before, after = total // 2, total - total // 2
    padded = F.pad(maps_, (before, after, before, after), value=-torch.inf)
    taps = range(0, dilation * (kernel - 1) + 1, dilation)
    for i in range(outputs):
        for j in range(outputs):
            values = [padded[:, :, i * stride + row, j * stride + column] for row in taps for column in taps]
            assert torch.equal(found[:, :, i, j], torch.stack(values).amax(0))


def test_a_window_that_dilation_makes_too_large() -> None:
    broken = analyse(
        network({"name": "pool1", "type": "max_pool2d", "kernel_size": 3, "stride": 1, "dilation": 4}, shape=[2, 7, 7])
    ).broken
    assert broken is not None
    assert broken.error == (
        "pool1: the window's height 9 is larger than the input's 7: "
        "set padding to 1, or kernel_size to 2, or dilation to 3, or input to 2×9×9"
    )


def test_average_pools_have_no_dilation() -> None:
    with pytest.raises(SettingError, match='unknown key "dilation"'):
        network({"type": "avg_pool2d", "kernel_size": 2, "dilation": 2}, shape=[2, 7, 7])


def test_the_reported_preset() -> None:
    """⌊(32 − (2·(3 − 1) + 1)) / 2⌋ + 1 = 14."""
    text = """input = [3, 32, 32]
layers = [ { name = "p", type = "max_pool2d", kernel_size = 3, stride = 2, dilation = 2 } ]"""
    analysis = analyse(parse_preset(text, Path("dilated.toml")).network)
    assert analysis.output == (3, 14, 14)
    assert analysis.rows[0].layer.summary() == "3×3 / 2 · dilation 2"
    assert (analysis.rows[0].height.size, analysis.rows[0].unread) == (5, (1, 1))
