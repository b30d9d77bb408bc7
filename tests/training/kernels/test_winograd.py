"""Convolutions by tiles against PyTorch's own in float64, in every size that a tile can have."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alexplore.network.analysis import analyse
from alexplore.network.layers.conv2d import Conv2d
from alexplore.presets.library import load_preset
from alexplore.training.kernels import convolution, winograd
from alexplore.training.kernels.table import kernels_of
from alexplore.training.model.build import build
from tests.support.examples import examples

ERROR = 2e-5  # of a result's norm; oneDNN's own is about 1e-6


def off_by(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def made(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


def gradients(wanted: Tensor, input: Tensor, weight: Tensor, padding: tuple[int, int], outputs: int) -> list[Tensor]:
    """Return both gradients, and check that each alone is the same."""
    both = winograd.gradients(wanted, input, weight, padding, outputs)
    alone = [
        winograd.gradients(wanted, input, weight, padding, outputs, to_input=first, to_weight=not first)
        for first in (True, False)
    ]
    found = [one for one in both if one is not None]
    assert [[one is None for one in pair] for pair in alone] == [[False, True], [True, False]]
    for one, other in zip((alone[0][0], alone[1][1]), found, strict=True):
        assert one is not None
        assert torch.equal(one, other)
    return found


@pytest.mark.parametrize(("side", "outputs"), [(3, m) for m in range(2, 7)] + [(5, m) for m in range(2, 5)])
def test_a_convolution_and_its_gradients_are_pytorchs(side: int, outputs: int) -> None:
    torch.manual_seed(side * outputs)
    for size, padding in product([(13, 12), (7, 9), (5, 5)], [(0, 0), (side // 2, side - 1), (side, side + 1)]):
        input, weight = made(3, 5, *size), made(4, 5, side, side)
        exact_input, exact_weight = input.double().requires_grad_(), weight.double().requires_grad_()
        expected = F.conv2d(exact_input, exact_weight, padding=padding)
        found = winograd.convolve(input, weight, padding, outputs)
        assert found.shape == expected.shape
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert off_by(found, expected.detach()) < ERROR
        wanted = made(*expected.shape)
        to_input, to_weight = torch.autograd.grad(expected, (exact_input, exact_weight), wanted.double())
        for found_one, exact in zip(
            gradients(wanted, input, weight, padding, outputs), (to_input, to_weight), strict=True
        ):
            assert off_by(found_one, exact) < ERROR


def test_a_rank_without_images_gets_nothing() -> None:
    empty, weight = torch.empty(0, 5, 9, 9), made(4, 5, 3, 3)
    assert winograd.convolve(empty, weight, (1, 1), 4).shape == (0, 4, 9, 9)
    to_input, to_weight = gradients(torch.empty(0, 4, 9, 9), empty, weight, (1, 1), 4)
    assert to_input.shape == empty.shape
    assert not to_weight.any()


def test_blocks_of_images_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    input, weight, wanted = made(7, 5, 9, 9), made(4, 5, 3, 3), made(7, 4, 9, 9)

    def all_three() -> tuple[Tensor, ...]:
        return winograd.convolve(input, weight, (1, 1), 4), *gradients(wanted, input, weight, (1, 1), 4)

    whole = all_three()
    monkeypatch.setattr(winograd, "BLOCK_VALUES", 36 * 9 * 5 * 3)  # three images
    for one, other in zip(all_three(), whole, strict=True):
        assert off_by(one, other.double()) < ERROR


@examples(30)
@given(st.integers(1, 512), st.integers(1, 512), st.sampled_from([1, 2, 3, 5, 7, 11]), st.integers(1, 60))
def test_only_what_gains_is_done_by_tiles(channels: int, kernels: int, side: int, size: int) -> None:
    outputs = winograd.tile_outputs(channels, kernels, (side, side), (size, size))
    oblong = winograd.tile_outputs(channels, kernels, (side, side + 1), (size, size))
    if outputs is not None:
        assert side in (3, 5)
        assert outputs + side - 1 <= len(winograd.POINTS) + 1
        tiles = -(-size // outputs)
        assert tiles**2 * (outputs + side - 1) ** 2 < size**2 * side**2 / 1.5
    assert oblong is None


def test_the_networks_that_gain_are_convolved_by_tiles() -> None:
    assert winograd.tile_outputs(96, 256, (5, 5), (26, 26)) == 4  # fmnist's conv2: 7 × 7 tiles
    assert winograd.tile_outputs(256, 384, (3, 3), (13, 13)) == 5  # the paper's conv3: 3 × 3 tiles


def test_a_layer_chooses_by_its_precision_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp32 on a CPU by tiles; autocast and float64 as ever. Its output and gradients are the same layer's without."""
    monkeypatch.setattr(convolution, "tile_outputs", lambda *arguments: 4)
    model = build(load_preset("fmnist-28").network, seed=1, kernels=kernels_of("avx2"))
    conv3 = model.get_submodule("conv3")
    assert isinstance(conv3, convolution.Conv)
    calls: list[int] = []
    by_tiles = winograd.convolve

    def counted(input: Tensor, weight: Tensor, padding: tuple[int, int], outputs: int) -> Tensor:
        calls.append(outputs)
        return by_tiles(input, weight, padding, outputs)

    monkeypatch.setattr(winograd, "convolve", counted)
    input = made(2, 32, 6, 6).requires_grad_()
    found = conv3(input)
    assert calls
    expected = F.conv2d(input.double(), conv3.weight.double(), conv3.bias.double(), padding=1)  # type: ignore[union-attr]
    assert off_by(found.detach(), expected.detach()) < ERROR
    wanted = torch.randn_like(found)
    leaves = (input, *conv3.parameters())
    for one, other in zip(
        torch.autograd.grad(found, leaves, wanted),
        torch.autograd.grad(expected, leaves, wanted.double()),
        strict=True,
    ):
        assert off_by(one, other.double()) < ERROR
    calls.clear()
    with torch.autocast("cpu", torch.bfloat16):
        conv3(input)
    conv3.double()(input.double())
    assert not calls


def test_groups_are_convolved_by_tiles() -> None:
    """The paper's conv2, conv4 and conv5 read two groups."""
    network = load_preset("paper").network
    layers = {row.layer.name: row for row in analyse(network).rows}
    tiled = {
        name: convolution.Conv(row.layer, row.inputs, kernels_of("avx2")).tile_outputs
        for name, row in layers.items()
        if isinstance(row.layer, Conv2d)
    }
    assert [name for name, outputs in tiled.items() if outputs] == ["conv2", "conv3", "conv4", "conv5"]


@pytest.mark.parametrize("bias", [True, False])
def test_grouped_convolutions_by_tiles_are_pytorchs(monkeypatch: pytest.MonkeyPatch, bias: bool) -> None:
    monkeypatch.setattr(convolution, "tile_outputs", lambda *arguments: 4)
    torch.manual_seed(1)
    layer = Conv2d(name="conv", out_channels=8, kernel_size=3, padding=1, groups=2, bias=bias)
    conv = convolution.Conv(layer, ((6, 9, 9),), kernels_of("avx2"))
    input = made(3, 6, 9, 9).requires_grad_()
    leaves = (input, *conv.parameters())
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    found = conv(input)
    expected = F.conv2d(exact[0], exact[1], exact[2] if bias else None, padding=1, groups=2)
    assert off_by(found.detach(), expected.detach()) < ERROR
    wanted = torch.randn_like(found)
    ours, theirs = torch.autograd.grad(found, leaves, wanted), torch.autograd.grad(expected, exact, wanted.double())
    assert all(off_by(one, other) < ERROR for one, other in zip(ours, theirs, strict=True))
