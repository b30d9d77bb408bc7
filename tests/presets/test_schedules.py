"""Schedules of the learning rate, compared with PyTorch's own."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import SCHEDULES, learning_rate
from alexplore.training.plateau import Plateau
from tests.support.examples import examples

STEPS = 7  # an epoch


def rates(recipe: Recipe) -> list[float]:
    return [learning_rate(recipe, step, STEPS) for step in range(recipe.epochs * STEPS)]


def theirs(lr: float, count: int, make: Any) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_constant() -> None:
    assert rates(Recipe(lr=0.3, epochs=2)) == [0.3] * 14


def test_step_is_pytorch_step_lr() -> None:
    recipe = Recipe(lr=0.3, epochs=6, schedule="step", step_epochs=2, gamma=0.1)
    expected = theirs(0.3, 6 * STEPS, lambda optimizer: lr_scheduler.StepLR(optimizer, 2 * STEPS, 0.1))
    assert rates(recipe) == pytest.approx(expected)


def test_cosine_is_pytorch_cosine_annealing() -> None:
    recipe = Recipe(lr=0.3, epochs=3, schedule="cosine")
    expected = theirs(0.3, 3 * STEPS, lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 3 * STEPS))
    assert rates(recipe) == pytest.approx(expected)


def test_warmup_rises_linearly_and_cosine_starts_after_it() -> None:
    recipe = Recipe(lr=0.3, epochs=4, schedule="cosine", warmup_epochs=1.0)
    found = rates(recipe)
    assert found[:STEPS] == pytest.approx([0.3 * (step + 1) / STEPS for step in range(STEPS)])
    expected = theirs(0.3, 3 * STEPS, lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 3 * STEPS))
    assert found[STEPS:] == pytest.approx(expected)


@examples(100)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=30), st.integers(0, 3), st.integers(0, 3))
def test_plateau_is_pytorch_reduce_on_plateau(errors: list[float], patience: int, reductions: int) -> None:
    recipe = Recipe(lr=1.0, schedule="plateau", gamma=0.1, patience=patience, reductions=reductions)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.1, patience=patience, threshold=0, threshold_mode="abs", min_lr=0.1**reductions, eps=0
    )
    plateau = Plateau()
    for error in errors:
        plateau = plateau.after(error, recipe)
        scheduler.step(error)
        assert learning_rate(recipe, 0, STEPS, plateau.reductions) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert plateau.smallest == min(errors)
    assert math.isfinite(plateau.smallest)


OTHER_VALUES: dict[str, Any] = {
    "warmup_epochs": 2.0,
    "step_epochs": 1,
    "gamma": 0.5,
    "patience": 0,
    "reductions": 1,
    "momentum": 0.5,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_depends_on_the_settings_that_it_declares_and_on_no_other(name: str) -> None:
    """Patience and reductions of `plateau` take effect through `Plateau`, which has tests of its own."""
    recipe = Recipe(schedule=name, epochs=6, lr=1.0, step_epochs=2)

    def rates(recipe: Recipe) -> list[float]:
        return [learning_rate(recipe, step, 5, reductions=step // 5) for step in range(5 * recipe.epochs)]

    for key, value in OTHER_VALUES.items():
        changed = rates(dataclasses.replace(recipe, **{key: value})) != rates(recipe)
        assert changed == (key in SCHEDULES[name].settings and key not in ("patience", "reductions")), key


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_begins_with_lr_after_the_warmup_and_stays_positive(name: str) -> None:
    recipe = Recipe(schedule=name, epochs=6, lr=0.2, warmup_epochs=2.0)
    rates = [learning_rate(recipe, step, 5) for step in range(30)]
    assert rates[:11] == pytest.approx([0.02 * (step + 1) for step in range(10)] + [0.2])
    assert all(0 < rate <= 0.2 for rate in rates)


def test_the_rate_is_constant_in_the_epochs_that_are_averaged() -> None:
    for name in SCHEDULES:
        recipe = Recipe(lr=0.2, epochs=10, schedule=name, swa_epochs=3, swa_lr=0.25, warmup_epochs=1)
        rates = [learning_rate(recipe, step, 5, reductions=step // 10) for step in range(50)]
        assert rates[35:] == [pytest.approx(0.05)] * 15
        plain = dataclasses.replace(recipe, swa_epochs=None)
        assert rates[:35] == [learning_rate(plain, step, 5, reductions=step // 10) for step in range(35)]
