"""Convolutions in other forms against PyTorch's own, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset
from alexplore.training.kernels import conv_forms
from alexplore.training.kernels.conv_forms import convolve_blocks, gains_in_blocks, gains_ungrouped, ungrouped
from alexplore.training.kernels.convolution import Conv
from alexplore.training.kernels.table import Kernels
from alexplore.training.model.build import build


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "stride", "padding"),
    [
        (3, (47, 47), (11, 11), 4, (2, 2)),  # torchvision's first, of a smaller image
        (1, (44, 44), (11, 11), 4, (1, 1)),  # fmnist's: rows beyond the last window are left out
        (3, (47, 47), (11, 11), 4, (0, 0)),  # the paper's: rows are added
        (3, (33, 29), (7, 5), 2, (3, 1)),
        (4, (20, 21), (4, 4), 3, (0, 2)),
        (2, (16, 16), (8, 8), 4, (0, 0)),  # nothing is filled up
    ],
)
def test_blocks_give_the_same_maps_and_gradients(
    channels: int, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: tuple[int, int]
) -> None:
    images, weight = random(3, channels, *size), random(5, channels, *kernel)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    theirs = F.conv2d(images, weight, bias, stride, padding)
    ours = convolve_blocks(images, weight, bias, stride, padding)
    torch.testing.assert_close(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    upstream = torch.randn_like(theirs)
    wanted = images, weight, bias
    torch.testing.assert_close(
        torch.autograd.grad(ours, wanted, upstream), torch.autograd.grad(theirs, wanted, upstream)
    )


@pytest.mark.parametrize("groups", [2, 3])
def test_weights_without_groups_give_the_same_maps_and_gradients(groups: int) -> None:
    images, weight = random(2, 4 * groups, 7, 6), random(5 * groups, 4, 3, 3)
    theirs = F.conv2d(images, weight, groups=groups, padding=1)
    ours = F.conv2d(images, ungrouped(weight, groups), padding=1)
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(theirs)
    wanted = images, weight
    torch.testing.assert_close(
        torch.autograd.grad(ours, wanted, upstream), torch.autograd.grad(theirs, wanted, upstream)
    )


def test_the_first_layers_are_convolved_in_blocks_and_towers_without_groups() -> None:
    model = build(load_preset("paper").network, 0, Kernels({"conv-forms"}))
    convolutions = {name: layer for name, layer in model.named_children() if isinstance(layer, Conv)}
    assert {name for name, layer in convolutions.items() if layer.in_blocks} == {"conv1"}
    assert {name for name, layer in convolutions.items() if layer.ungrouped} == {"conv2", "conv4", "conv5"}
    for layer in build(load_preset("paper").network, 0, Kernels()).children():
        assert not isinstance(layer, Conv) or not (layer.in_blocks or layer.ungrouped)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 8, 11),  # without a stride
        nn.Conv2d(8, 8, 11, 4),  # of many channels
        nn.Conv2d(3, 8, 3, (2, 1)),
        nn.Conv2d(3, 8, 5, 2, dilation=2),
        nn.Conv2d(4, 8, 5, 2, groups=2),
        nn.Conv2d(3, 8, 2, 4),  # skips pixels
    ],
)
def test_other_convolutions_are_not_in_blocks(layer: nn.Conv2d) -> None:
    assert not gains_in_blocks(layer)
    assert not gains_ungrouped(nn.Conv2d(8, 8, 3, groups=8))


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((3, 33, 35), {"kernel_size": 11, "stride": 4, "padding": 2}),
        ((3, 33, 35), {"kernel_size": 11, "stride": 4, "bias": False}),
        ((2, 20, 20), {"kernel_size": 5, "stride": 2, "padding": "same"}),  # sides that differ
        ((2, 20, 20), {"kernel_size": 5, "stride": 2, "padding": 2, "padding_mode": "reflect"}),
        ((16, 9, 9), {"kernel_size": 3, "padding": [1, 0], "stride": [1, 2], "groups": 2}),
        ((16, 9, 9), {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2, "bias": False}),
    ],
)
def test_a_layer_gives_the_same_in_another_form(
    shape: tuple[int, int, int], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv_forms, "supports", lambda images: True)  # as on a GPU
    layer = {"name": "conv1", "type": "conv2d", "out_channels": 6, **settings}
    network = read_network({"input": list(shape), "layers": [layer]})
    ours, theirs = (build(network, 0, Kernels(names)).double() for names in ({"conv-forms"}, set()))
    (convolution,) = ours.children()
    assert isinstance(convolution, Conv)
    assert convolution.in_blocks or convolution.ungrouped
    with torch.no_grad():
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(one.uniform_(-1, 1))
    images = random(2, *shape)
    found, expected = ours(images), theirs(images)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, [images, *ours.parameters()], upstream),
        torch.autograd.grad(expected, [images, *theirs.parameters()], upstream),
    )


def test_other_forms_are_for_gpus() -> None:
    assert not conv_forms.supports(torch.zeros(1, 3, 8, 8))
    with FakeTensorMode():
        images = torch.empty(1, 3, 8, 8, device="cuda")
        assert conv_forms.supports(images)
        assert conv_forms.supports(images.half())
        assert not conv_forms.supports(images.double())
