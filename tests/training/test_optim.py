"""Optimizers, compared with the formulas of their papers and with their own declarations."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexplore.core.settings import SettingError
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.recipe import Recipe
from alexplore.training.optim import FACTORIES, make_optimizer, set_learning_rate, update
from alexplore.training.whole_state import load_optimizer_state


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).double()


def gradients(module: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)


Memory = dict[str, Tensor]


def sgd_by_hand(w: Tensor, g: Tensor, memory: Memory, lr: float, recipe: Recipe) -> Tensor:
    """PyTorch's documentation of SGD: g ← g + decay · w; v ← momentum · v + g; w ← w − lr · v."""
    g = g + recipe.weight_decay * w
    v = memory["v"] = recipe.momentum * memory.get("v", torch.zeros_like(w)) + g
    return w - lr * v


def adam_by_hand(w: Tensor, g: Tensor, memory: Memory, lr: float, recipe: Recipe) -> Tensor:
    """Kingma & Ba 2015, algorithm 1, and Loshchilov & Hutter 2019, algorithm 2, for decoupled decay."""
    decoupled = recipe.optimizer == "adamw"
    if decoupled:
        w = w - lr * recipe.weight_decay * w
    else:
        g = g + recipe.weight_decay * w
    t = memory["t"] = memory.get("t", torch.zeros((), dtype=torch.float64)) + 1
    m = memory["m"] = 0.9 * memory.get("m", torch.zeros_like(w)) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", torch.zeros_like(w)) + 0.001 * g * g
    return w - lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer="sgd", momentum=0.9, weight_decay=5e-4, lr=0.1),
        Recipe(optimizer="sgd", momentum=0.0, lr=0.1, bias_lr=2.0),
        Recipe(optimizer="sgd", momentum=0.5, lr=0.1, bias_lr=0.0),
        Recipe(optimizer="adam", weight_decay=0.1, lr=0.01),
        Recipe(optimizer="adamw", weight_decay=0.1, lr=0.01, bias_lr=2.0),
    ],
    ids=lambda recipe: f"{recipe.optimizer}, {recipe.bias_lr}",
)
def test_updates_follow_the_formulas(recipe: Recipe) -> None:
    ours = model()
    expected = {name: parameter.detach().clone() for name, parameter in ours.named_parameters()}
    memory: dict[str, Memory] = {name: {} for name in expected}
    by_hand = sgd_by_hand if recipe.optimizer == "sgd" else adam_by_hand
    optimizer = make_optimizer(recipe, ours)
    for step in range(4):
        rate = recipe.lr / (step + 1)
        set_learning_rate(optimizer, rate)
        gradients(ours, step)
        for name, parameter in ours.named_parameters():
            assert parameter.grad is not None
            own_rate = rate * (recipe.bias_lr if name.endswith("bias") else 1)
            expected[name] = by_hand(expected[name], parameter.grad.clone(), memory[name], own_rate, recipe)
        update(optimizer)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name])


def test_every_declared_optimizer_has_a_factory() -> None:
    assert FACTORIES.keys() == OPTIMIZERS.keys()
    with pytest.raises(KeyError):
        make_optimizer(Recipe(optimizer="rmsprop"), model())


CHANGES: dict[str, Any] = {"momentum": 0.3, "weight_decay": 0.2, "bias_lr": 3.0}


def step_with(recipe: Recipe) -> tuple[dict[str, Tensor], int]:
    """Take two steps; return the parameters, and the number of values of optimizer state for each parameter."""
    ours = model()
    optimizer = make_optimizer(recipe, ours)
    for step in range(2):
        set_learning_rate(optimizer, recipe.lr)
        gradients(ours, step)
        update(optimizer)
    parameters = dict(ours.named_parameters())
    state = sum(
        value.numel()
        for kept in optimizer.state.values()
        for value in kept.values()
        if isinstance(value, Tensor) and value.dim()
    )
    count, rest = divmod(state, sum(parameter.numel() for parameter in parameters.values()))
    assert rest == 0
    return {name: parameter.detach() for name, parameter in parameters.items()}, count


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_uses_exactly_the_settings_that_it_declares(name: str) -> None:
    recipe = Recipe(optimizer=name, lr=0.1, weight_decay=0.1)
    expected, _ = step_with(recipe)
    for key, value in {**CHANGES, "lr": 0.2}.items():
        found, _ = step_with(dataclasses.replace(recipe, **{key: value}))
        changed = any(not torch.equal(found[name], expected[name]) for name in expected)
        assert changed == (key in OPTIMIZERS[name].settings), key


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_keeps_as_many_tensors_as_it_declares(name: str, momentum: float) -> None:
    recipe = Recipe(optimizer=name, momentum=momentum)
    _, count = step_with(recipe)
    assert count == recipe.optimizer_state.tensors


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    """The sum of squares of two weights."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = make_optimizer(Recipe(optimizer=name, lr=0.05), layer)
    set_learning_rate(optimizer, 0.05)
    before = float(layer.weight.detach().square().sum())
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.backward(layer.weight.square().sum())
        update(optimizer)
    assert float(layer.weight.detach().square().sum()) < before / 2


def test_a_model_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(SettingError, match="nothing to train"):
        make_optimizer(Recipe(), model().requires_grad_(False))


def test_the_state_of_an_unfused_optimizer_is_loaded_where_a_fused_one_reads_it() -> None:
    """The meta device stands for a GPU: the number of updates, which was on the CPU, must be there."""
    ours, theirs = (nn.Parameter(torch.zeros(2, device=device)) for device in ("meta", "cpu"))
    saved = torch.optim.Adam([theirs])
    theirs.grad = torch.ones(2)
    saved.step()
    optimizer = torch.optim.Adam([ours])
    optimizer.param_groups[0]["fused"] = True
    load_optimizer_state(optimizer, saved.state_dict())
    assert {key: value.device.type for key, value in optimizer.state[ours].items()} == {
        "step": "meta", "exp_avg": "meta", "exp_avg_sq": "meta",
    }  # fmt: skip
