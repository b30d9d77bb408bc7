"""A step of training reads nothing back from the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from alexplore.network.network import Network
from alexplore.network.recipe import Recipe
from alexplore.training.build import build
from alexplore.training.data import Dataset, Preprocess, Resident
from alexplore.training.guard import Guard
from alexplore.training.loop import Objective
from alexplore.training.metrics import StepLog
from alexplore.training.precision import Precision
from alexplore.training.recipe import make_optimizer

RECIPES: list[dict[str, Any]] = [
    {"optimizer": "sgd", "weight_decay": 1e-3},
    {"optimizer": "adam", "precision": "bf16", "random_crop": True, "crop_padding": 2, "horizontal_flip": True},
    {"optimizer": "adamw", "precision": "fp16", "resize": 14, "random_crop": True},
]


@pytest.mark.parametrize("changes", RECIPES, ids=lambda changes: str(changes["optimizer"]))
def test_a_step_runs_without_values(changes: dict[str, Any], small: Network) -> None:
    device = torch.device("cpu")
    recipe = Recipe(**changes)
    none = Resident(torch.zeros(0, 1, 12, 12, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), device)
    dataset = Dataset("none", tuple("0123456789"), 1, (0.5,), (0.2,), none, none, size=(12, 12))
    preprocess = Preprocess(recipe, small.input, dataset, device)
    precision = Precision("fp32" if recipe.precision == "auto" else recipe.precision, device)
    # Tensors without values: whatever looks at one raises.
    model = build(small)
    with FakeTensorMode(allow_non_fake_inputs=True) as without_values:
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(without_values.from_tensor(parameter.detach())))
        objective = Objective(model, recipe, precision)
        guard = Guard(make_optimizer(recipe, model), device, scaled=precision.scaled)
        log = StepLog(device)
        images, labels = torch.zeros(8, 1, 12, 12, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
        for step in range(2):
            inputs = preprocess.train(images, seed=step)
            loss, correct = objective(inputs, labels)
            log.add(loss, correct, len(labels), guard.step(loss, 1 / 8))
        with pytest.raises(DataDependentOutputException):
            log.take().tolist()
