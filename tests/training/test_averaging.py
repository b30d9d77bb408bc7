"""Averages of weights, compared with PyTorch's `AveragedModel`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from alexplore.training.averaging import MovingAverage, make_averaging


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def change(network: nn.Module, step: int) -> None:
    """Change weights and running statistics as a training would."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        network(torch.randn(4, 1, 4, 4, generator=generator))
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def test_a_small_decay_averages_as_pytorch_does() -> None:
    """The decay rises from 0: one of 0.1 is reached with the second update, which is PyTorch's first average."""
    trained = model()
    average = get_ema_multi_avg_fn(0.1)  # type: ignore[no-untyped-call]
    ours = MovingAverage(trained, 0.1)
    theirs = AveragedModel(trained, multi_avg_fn=average, use_buffers=True)
    for step in range(5):
        change(trained, step)
        ours.update(step)
        theirs.update_parameters(trained)
    expected = theirs.module.state_dict()
    for name, value in ours.evaluated.state_dict().items():
        if value.is_floating_point():  # PyTorch also averages the number of batches, as fractions
            torch.testing.assert_close(value, expected[name])
    assert ours.evaluated.get_buffer("1.num_batches_tracked") == 5


def test_a_large_decay_rises_as_tensorflow_lets_it() -> None:
    def average(mean: Tensor, value: Tensor, averaged: Tensor | int) -> Tensor:
        decay = min(0.75, (1 + int(averaged) - 1) / (10 + int(averaged) - 1))
        return decay * mean + (1 - decay) * value

    trained = model()
    ours = MovingAverage(trained, 0.75)
    theirs = AveragedModel(trained, avg_fn=average)
    for step in range(40):  # (1 + n) / (10 + n) is 0.75 for n = 26
        change(trained, step)
        ours.update(step)
        theirs.update_parameters(trained)
    for name, parameter in ours.evaluated.named_parameters():
        torch.testing.assert_close(parameter, theirs.module.get_parameter(name), rtol=1e-4, atol=1e-5)
        assert not parameter.requires_grad


def test_without_a_decay_the_trained_model_is_evaluated() -> None:
    trained = model()
    averaging = make_averaging(trained, None)
    averaging.update(0)
    assert averaging.evaluated is trained
    assert averaging.state(lambda _: pytest.fail("collected")) == {}
