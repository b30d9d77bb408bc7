"""The measured time of each layer."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.training import profiling
from alexplore.training.precision import Precision
from tests.support.networks import SMALL

SECONDS = 0.02


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch, heavy: None) -> None:
    monkeypatch.setattr(profiling, "ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(profiling, "matmul_peak", lambda device, precision: 1e9)


def measured(network: Network) -> profiling.NetworkTimes:
    macs = [row.macs for row in analyse(network).rows]
    return profiling.measure_layers(network, macs, 2, Precision("fp32", torch.device("cpu")))


def test_a_slow_layer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = nn.Tanh.forward

    def slow(self: nn.Tanh, values: torch.Tensor) -> torch.Tensor:
        time.sleep(SECONDS)
        return plain(self, values)

    monkeypatch.setattr(nn.Tanh, "forward", slow)
    layers = [{"type": "flatten"}, {"type": "tanh"}, {"type": "linear", "out_features": 3}]
    times = measured(read_network({"input": [1, 4, 4], "layers": layers}))
    assert times.layers[1].forward.median >= SECONDS
    assert times.whole.median >= SECONDS
    assert len(times.whole.seconds) == profiling.FEWEST_ROUNDS


def test_every_kind_of_layer_with_both_passes() -> None:
    network = read_network(SMALL)
    times = measured(network)
    assert len(times.layers) == len(network.layers)
    assert all(layer.forward.median > 0 and layer.backward.median > 0 for layer in times.layers)


def test_operations_are_those_of_a_training_step() -> None:
    """The first convolution needs no gradient of the images, a frozen layer none of its weights."""
    layers = [
        {"type": "conv2d", "out_channels": 4, "kernel_size": 3},
        {"type": "conv2d", "out_channels": 5, "kernel_size": 2, "trainable": False},
        {"type": "flatten"},
        {"type": "linear", "out_features": 3},
    ]
    times = measured(read_network({"input": [2, 6, 6], "layers": layers}))
    first, second, third = 4 * 2 * 9 * 16, 5 * 4 * 4 * 9, 45 * 3
    assert [layer.flops for layer in times.layers] == [2 * first * 2, 2 * second * 2, 0, 2 * third * 3]


def test_spread() -> None:
    assert profiling.Durations([2.0] * 5).spread == 0
    assert profiling.Durations([0.0] * 5).spread == 0
    assert profiling.Durations([1.0, 2.0, 3.0, 4.0, 5.0]).spread == pytest.approx((4.5 - 1.5) / 3)
