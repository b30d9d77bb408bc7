"""Gradient norms, update ratios and zeros of layers, against autograd and subtraction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.training.inside.layer_figures import IMAGES, MEASURED_AN_EPOCH, LayerFigures, is_measured
from alexplore.training.metrics import is_recorded, record_interval
from alexplore.training.model.build import build, logits
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import SINGLE_RANK
from alexplore.training.whole_state import WholeState
from tests.support.examples import examples

CPU = torch.device("cpu")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_figures_are_those_of_autograd_and_of_subtraction(small: Network, optimizer: str) -> None:
    recipe = Recipe(optimizer=optimizer, lr=0.05, weight_decay=1e-3)
    model = build(small, seed=1).eval()  # dropout would draw other numbers below
    images, labels = torch.randn(24, 1, 12, 12), torch.randint(0, 10, (24,))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss = F.cross_entropy(model(images), labels)
    gradients = dict(zip(before, torch.autograd.grad(loss, list(model.parameters())), strict=True))
    shown = dict.fromkeys(("relu1", "relu2", "relu3"), 0.0)
    values = images[:IMAGES]
    for name, layer in model.named_children():
        values = layer(values)
        if name in shown:
            shown[name] = (values == 0).double().mean().item()

    figures = LayerFigures(small, model, WholeState(), SINGLE_RANK)
    guard = NonfiniteGuard(make_optimizer(recipe, model), CPU)
    with figures.measuring() as measurement:
        loss = F.cross_entropy(logits(model, images), labels, reduction="sum")
        guard.step(loss, 1 / 24, measurement.before_update)
    figures.keep(7, measurement.row())
    found = figures.take()[7]

    assert figures.take() == {}
    for name in ("conv1", "conv2", "fc3", "fc4"):
        both = torch.cat([gradients[f"{name}.{part}"].flatten() for part in ("weight", "bias")])
        assert found[f"grad_norm/{name}"] == pytest.approx(both.norm().item(), rel=2e-3)
        weight, now = before[f"{name}.weight"], model.state_dict()[f"{name}.weight"]
        assert found[f"update_ratio/{name}"] == pytest.approx(((now - weight).norm() / weight.norm()).item(), rel=2e-3)
    assert {name: found[f"zero_share/{name}"] for name in shown} == pytest.approx(shown, rel=1e-3)
    assert len(found) == 4 + 4 + 3


def test_a_scaled_loss_does_not_scale_the_gradients(small: Network) -> None:
    found = []
    for scaled in (False, True):
        model = build(small, seed=1).eval()
        torch.manual_seed(0)
        images, labels = torch.randn(8, 1, 12, 12), torch.randint(0, 10, (8,))
        figures = LayerFigures(small, model, WholeState(), SINGLE_RANK)
        guard = NonfiniteGuard(make_optimizer(Recipe(), model), CPU, scaled=scaled)
        with figures.measuring() as measurement:
            guard.step(F.cross_entropy(logits(model, images), labels), 1.0, measurement.before_update)
        figures.keep(1, measurement.row())
        found.append(figures.take()[1])
    assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_frozen_layers_and_layers_that_output_no_zeros_have_no_figures() -> None:
    network = read_network(
        {
            "input": [1, 6, 6],
            "layers": [
                {"name": "conv1", "type": "conv2d", "out_channels": 2, "kernel_size": 3, "trainable": False},
                {"name": "tanh1", "type": "tanh"},
                {"name": "flatten", "type": "flatten"},
                {"name": "fc2", "type": "linear", "out_features": 3},
            ],
        }
    )
    model = build(network, seed=0)
    figures = LayerFigures(network, model, WholeState(), SINGLE_RANK)
    guard = NonfiniteGuard(make_optimizer(Recipe(), model), CPU)
    with figures.measuring() as measurement:
        guard.step(logits(model, torch.randn(4, 1, 6, 6)).square().sum(), 1.0, measurement.before_update)
    figures.keep(1, measurement.row())
    assert figures.take()[1].keys() == {"grad_norm/fc2", "update_ratio/fc2"}


def test_no_hook_is_left_behind(small: Network) -> None:
    model = build(small, seed=1)
    figures = LayerFigures(small, model, WholeState(), SINGLE_RANK)

    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in model.modules() if isinstance(module, nn.ReLU))

    with pytest.raises(ValueError, match="broken"), figures.measuring():
        assert hooks() == 3
        raise ValueError("broken")
    assert hooks() == 0
    assert figures.take() == {}


@examples(100)
@given(st.integers(1, 10**9), st.integers(1, 512), st.integers(1, 20_000))
def test_measured_steps_are_a_few_of_those_that_are_written(macs: int, batch: int, steps: int) -> None:
    interval = record_interval(macs, batch, steps)
    measured = [step for step in range(1, steps + 1) if is_measured(step, interval, steps)]
    assert measured[0] == 1
    assert measured[-1] == steps
    assert all(is_recorded(step, interval, steps) for step in measured)
    assert min(steps, 20) <= len(measured) <= MEASURED_AN_EPOCH + 16
