"""Numbers that are not finite never reach the weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.recipe import Recipe
from alexplore.training import nonfinite
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.optim import make_optimizer

CPU = torch.device("cpu")


def trained(optimizer: str, *, steps: int, scaled: bool = False) -> tuple[nn.Module, Optimizer, NonfiniteGuard]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    made = make_optimizer(Recipe(optimizer=optimizer, lr=0.1, weight_decay=0.1), model)
    one = NonfiniteGuard(made, CPU, scaled=scaled)
    for _ in range(steps):
        assert one.step(loss_of(model), 0.5) == 0
    return model, made, one


def loss_of(model: nn.Module, times: float = 1.0) -> Tensor:
    loss: Tensor = model(torch.ones(4, 3)).square().sum() * times
    return loss


def everything(model: nn.Module, optimizer: Optimizer) -> list[Tensor]:
    slots = [value for slot in optimizer.state.values() for value in slot.values()]
    return [value.detach().clone() for value in (*model.parameters(), *slots)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_loss_changes_nothing_and_neither_does_anything_after_it(optimizer: str, steps: int, bad: float) -> None:
    model, made, one = trained(optimizer, steps=steps)
    before = copy.deepcopy(model.state_dict())
    assert one.step(loss_of(model, bad), 0.5) == 1
    after = everything(model, made)
    assert one.step(loss_of(model), 0.5) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert all(torch.equal(a, b) for a, b in zip(after, everything(model, made), strict=True))
    assert all(bool(value.isfinite().all()) for value in after)


def test_a_bad_gradient_under_a_good_loss_is_seen() -> None:
    model, _, one = trained("sgd", steps=1)
    before = copy.deepcopy(model.state_dict())

    class Overflow(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, values: Tensor) -> Tensor:
            return values.clone()

        @staticmethod
        def backward(_: Any, *gradients: Tensor) -> Tensor:
            return gradients[0] * math.inf

    loss: Tensor = Overflow.apply(loss_of(model))
    assert one.step(loss, 0.5) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_bad_loss_with_good_gradients_reaches_all_of_them(bad: float) -> None:
    model, _, one = trained("adam", steps=1)
    before = copy.deepcopy(model.state_dict())
    assert one.step(loss_of(model) + bad, 0.5) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    # What ranks exchange are gradients: each of them must tell the others.
    assert all(parameter.grad is not None and bool(parameter.grad.isnan().all()) for parameter in model.parameters())


def test_a_rank_that_hears_of_another_stops_too() -> None:
    model = nn.Linear(3, 2)
    one = NonfiniteGuard(make_optimizer(Recipe(), model), CPU, agree=torch.ones_like)
    before = copy.deepcopy(model.state_dict())
    assert one.step(loss_of(model), 1.0) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_scaling_changes_no_update(optimizer: str) -> None:
    plain, *_ = trained(optimizer, steps=3)
    scaled, *_ = trained(optimizer, steps=3, scaled=True)
    for ours, theirs in zip(scaled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_scaled_overflow_halves_the_scale_and_ends_the_run_only_without_one() -> None:
    model, _, one = trained("sgd", steps=0, scaled=True)
    before = copy.deepcopy(model.state_dict())
    halvings = round(math.log2(nonfinite.FIRST_SCALE))
    for _ in range(halvings):
        assert one.step(loss_of(model, math.inf), 0.5) == 0
    assert one.state()["scale"] == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert one.step(loss_of(model, math.inf), 0.5) == 1


def test_scale_never_grows_to_infinity() -> None:
    model, made, _ = trained("sgd", steps=0, scaled=True)
    one = NonfiniteGuard(made, CPU, scaled=True)
    one.load({"scale": torch.tensor(2.0**24), "calm": torch.tensor(float(nonfinite.GROWTH_STEPS))})
    assert one.step(loss_of(model, 1e-9), 0.5) == 0
    assert one.state()["scale"] == 2.0**24


def test_scale_grows_after_calm_and_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "GROWTH_STEPS", 3)
    _, made, one = trained("sgd", steps=4, scaled=True)
    assert one.state()["scale"] == 2 * nonfinite.FIRST_SCALE
    assert one.state()["calm"] == 1
    other = NonfiniteGuard(made, CPU, scaled=True)
    other.load(one.state())
    assert other.state() == one.state()
