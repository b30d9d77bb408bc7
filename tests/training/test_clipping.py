"""Gradient clipping, compared with PyTorch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from alexplore.presets.recipe import Recipe
from alexplore.training.clipping import GradientClipper, make_clip
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.optim import make_optimizer

CPU = torch.device("cpu")


def loss_of(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    loss: Tensor = model(torch.randn(5, 4, generator=generator, dtype=torch.float64)).square().sum()
    return loss


@pytest.mark.parametrize("limit", [1e-3, 0.5, 1e6])
@pytest.mark.parametrize("scaled", [False, True])
def test_an_update_is_that_of_clipped_gradients(limit: float, scaled: bool) -> None:
    """In fp16 the gradients are scaled while they are clipped, and the norm is that without the scale."""
    ours = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    theirs = copy.deepcopy(ours)
    recipe = Recipe(optimizer="sgd", lr=0.1, momentum=0.0)
    clip = make_clip(limit, list(ours.parameters()))
    guard = NonfiniteGuard(make_optimizer(recipe, ours), CPU, scaled=scaled, clip=clip)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for _ in range(3):
        guard.step(loss_of(ours), 1.0)
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(theirs))
        nn.utils.clip_grad_norm_(theirs.parameters(), limit)
        optimizer.step()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=1e-6, atol=0)


def test_parts_of_two_towers_have_the_norm_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tower has one of `halves`, and both have `shared`."""
    halves, shared = torch.randn(2, 6), torch.randn(3)
    expected = torch.cat((halves.flatten(), shared)).norm()
    for own in range(2):
        half, same = (nn.Parameter(torch.zeros_like(one)) for one in (halves[own], shared))
        half.grad, same.grad = halves[own].clone(), shared.clone()
        other = halves[1 - own].square().sum()
        monkeypatch.setattr("torch.distributed.all_reduce", lambda value, _, other=other: value.add_(other))
        GradientClipper(1.0, [half, same], split=[half]).clip(torch.ones(()))
        torch.testing.assert_close(half.grad, halves[own] / expected)
        torch.testing.assert_close(same.grad, shared / expected)
