"""Averages of weights, compared with PyTorch's `AveragedModel`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from alexplore.presets.recipe import Recipe
from alexplore.training.averaging import EpochAverage, MovingAverage, make_averaging
from alexplore.training.batch_statistics import estimate_statistics
from alexplore.training.precision import Precision


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
    averaging = make_averaging(trained, Recipe())
    averaging.update(0)
    assert averaging.evaluated is trained
    assert averaging.state(lambda _: pytest.fail("collected")) == {}


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_last_epochs_are_averaged_as_pytorch_does(epochs: int) -> None:
    """`AveragedModel` and `update_bn` in the way that PyTorch documents them."""
    trained = model()
    ours = make_averaging(trained, Recipe(epochs=5, swa_epochs=epochs))
    theirs = AveragedModel(trained)
    batches = [torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(number)) for number in range(3)]
    for epoch in range(5):
        for step in range(2 * epoch, 2 * epoch + 2):
            change(trained, step)
            ours.update(step)
        averages = ours.end_epoch(2 * epoch + 2, left=4 - epoch)
        assert averages == (epoch >= 5 - epochs)
        if averages:
            theirs.update_parameters(trained)
        assert not ours.end_epoch(2 * epoch + 2, left=4 - epoch)  # again, as in a run that is resumed there
        if not averages:
            expected = trained.state_dict()
            assert all(torch.equal(value, expected[name]) for name, value in ours.evaluated.state_dict().items())
    estimate_statistics(ours.evaluated, batches, Precision("fp32", torch.device("cpu")))
    update_bn(batches, theirs)
    expected = theirs.module.state_dict()
    for name, value in ours.evaluated.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name])
    assert ours.evaluated.get_submodule("1").momentum == 0.1
    assert trained.get_buffer("1.num_batches_tracked") == 10


def test_an_average_of_epochs_continues_from_a_checkpoint() -> None:
    def load(network: nn.Module, weights: dict[str, Tensor]) -> None:
        network.load_state_dict(weights)

    def collect(network: nn.Module) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in network.state_dict().items()}

    whole, trained = EpochAverage(model(), 2), model()
    trained.load_state_dict(whole._model.state_dict())
    change(whole._model, 0)
    whole.end_epoch(1, left=1)
    resumed = EpochAverage(trained, 2)
    resumed.load(collect(whole.evaluated), whole.state(collect), load)
    assert not resumed.end_epoch(1, left=1)
    for one in (whole, resumed):
        change(one._model, 1)
        one.update(1)
        assert one.end_epoch(2, left=0)
    expected = whole.evaluated.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.evaluated.state_dict().items())
    with pytest.raises(ValueError, match="averaged epochs: found"):
        resumed.load({}, {"trained_weights": {}, "averaged_epochs": {"count": -1, "step": 2}}, load)


def test_more_epochs_begin_another_average() -> None:
    trained = model()
    averaging = EpochAverage(trained, 1)
    change(trained, 0)
    assert averaging.end_epoch(1, left=0)
    change(trained, 1)
    assert not averaging.end_epoch(2, left=1)
    change(trained, 2)
    averaging.update(2)
    assert averaging.end_epoch(3, left=0)
    expected = dict(trained.named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in averaging.evaluated.named_parameters())
