"""Histograms, kernels and feature maps, against numpy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset
from alexplore.runs.inside import BINS
from alexplore.training.inside.appearance import (
    MAPS_BYTES,
    SHOWN,
    feature_maps,
    histogram,
    kernel_grid,
    look_at,
    map_limits,
    weight_histograms,
)
from alexplore.training.model.build import build
from alexplore.training.precision import Precision
from alexplore.training.whole_state import WholeState

FP32 = Precision("fp32", torch.device("cpu"))
WHOLE = WholeState()


@pytest.mark.parametrize("scale", [1e-6, 0.3, 7.0, 1e5])
def test_a_histogram_is_that_of_numpy(scale: float) -> None:
    values = torch.randn(3, 4, 5, 6) * scale
    found = histogram("conv1", values)
    assert found is not None
    assert np.log2(found.limit) == int(np.log2(found.limit))
    rms = values.square().mean().sqrt().item()
    assert 4 * rms <= found.limit < 8 * rms
    array = values.numpy().astype(np.float64)
    counts, _ = np.histogram(array.clip(-found.limit, found.limit), BINS, (-found.limit, found.limit))
    assert np.abs(np.array(found.counts) - counts).sum() <= 2  # a value on an edge
    assert found.mean == pytest.approx(array.mean(), rel=1e-3, abs=1e-6 * scale)
    assert found.std == pytest.approx(array.std(), rel=1e-3)
    assert (found.minimum, found.maximum) == pytest.approx((array.min(), array.max()))


def test_zeros_and_dead_units_are_counted() -> None:
    outputs = torch.rand(4, 5, 2, 2) + 0.1
    outputs[:, 3] = 0
    outputs[0] = 0
    found = histogram("relu1", outputs, dead=True)
    assert found is not None
    assert found.dead_share == pytest.approx(1 / 5)
    assert found.zero_share == pytest.approx((20 + 3 * 4) / 80)
    vectors = histogram("relu6", torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]), dead=True)
    assert vectors is not None
    assert vectors.dead_share == pytest.approx(1 / 3)
    zeros = histogram("fc8", torch.zeros(7))
    assert zeros is not None
    assert (zeros.limit, sum(zeros.counts), zeros.dead_share) == (1.0, 7, None)


def test_numbers_that_are_not_finite_have_no_histogram() -> None:
    assert histogram("conv1", torch.tensor([1.0, torch.inf])) is None
    assert histogram("conv1", torch.tensor([1.0, torch.nan])) is None
    assert histogram("conv1", torch.empty(0)) is None


def test_kernels_are_those_of_the_first_convolution(small: Network) -> None:
    model = build(small, seed=3)
    grid = kernel_grid(small, model, WHOLE)
    assert grid is not None
    weight = model.get_parameter("conv1.weight").detach().numpy()
    span = weight.reshape(6, -1).max(1) - weight.reshape(6, -1).min(1)
    assert np.abs(grid.kernels.values() - weight).max() <= span.max() / 500
    assert (grid.layer, grid.towers, grid.total) == ("conv1", 1, 6)


def test_the_papers_96_kernels_are_kept_in_two_towers() -> None:
    network = load_preset("paper").network
    grid = kernel_grid(network, build(Network((3, 227, 227), network.layers[:1], 2), seed=0), WHOLE)
    assert grid is not None
    assert grid.kernels.codes.shape == (96, 3, 11, 11)
    assert (grid.towers, grid.total) == (2, 96)


def test_weights_that_are_trained_have_histograms(small: Network) -> None:
    found = weight_histograms(small, build(small, seed=0), WHOLE)
    assert [(one.layer, sum(one.counts)) for one in found] == [
        ("conv1", 6 * 9), ("conv2", 8 * 3 * 9), ("fc3", 16 * 8 * 9), ("fc4", 160),
    ]  # fmt: skip


def test_maps_and_activations_are_those_of_a_forward_pass(small: Network) -> None:
    model = build(small, seed=0)
    images = torch.randn(5, 1, 12, 12)
    outputs = look_at(images, small, model, WHOLE, FP32)
    assert model.training
    model.eval()
    with torch.no_grad():
        expected = F.conv2d(images, model.get_parameter("conv1.weight"), model.get_parameter("conv1.bias"), padding=1)
        assert torch.allclose(outputs.scores, model(images), atol=1e-5)
    maps = [one for one in outputs.maps if one.layer == "conv1"]
    assert [one.image for one in maps] == list(range(SHOWN))
    assert maps[1].shape == (6, 12, 12)
    chosen = expected[1, list(maps[1].channels)].numpy()
    assert np.abs(maps[1].maps.values() - chosen).max() < 0.02
    relu = next(one for one in outputs.histograms if one.layer == "relu1")
    assert relu.maximum == pytest.approx(expected.max().item(), rel=1e-4)
    assert relu.zero_share == pytest.approx((expected <= 0).float().mean().item(), abs=1e-3)
    assert [one.layer for one in outputs.histograms] == [
        "conv1", "relu1", "conv2", "relu2", "fc3", "relu3", "fc4",
    ]  # fmt: skip


def test_large_maps_are_averaged() -> None:
    outputs = torch.randn(2, 3, 48, 48)
    maps = feature_maps("conv1", outputs, map_limits([(3, 48, 48)]))
    assert maps[0].maps.codes.shape == (3, 24, 24)
    means = outputs[1].view(3, 24, 2, 24, 2).mean((2, 4)).numpy()
    assert np.abs(maps[1].maps.values() - means).max() < 0.05


@pytest.mark.parametrize("preset", ["lenet", "fmnist", "paper", "vgg16", "googlenet", "resnet18"])
def test_maps_of_all_layers_fit_in_a_file(preset: str) -> None:
    rows = analyse(load_preset(preset).network).rows
    shapes = [row.output for row in rows if row.layer.type == "conv2d" and row.output]
    limits = map_limits(shapes)
    size = sum(SHOWN * min(limits.maps, c) * min(limits.side, h) * min(limits.side, w) for c, h, w in shapes)
    assert size <= MAPS_BYTES
    assert limits.maps >= 4
