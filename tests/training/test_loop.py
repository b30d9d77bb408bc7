"""A step of training reads nothing back from the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from alexplore.network.graph import Network
from alexplore.presets.recipe import Recipe
from alexplore.training.data import preprocess as preprocessing
from alexplore.training.data.dataset import Dataset, ResidentSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.inside.answers import Answers
from alexplore.training.inside.layer_figures import LayerFigures
from alexplore.training.metrics import StepLog, step_row
from alexplore.training.model.build import build
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.objective import Objective
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import SINGLE_RANK
from alexplore.training.precision import Precision
from alexplore.training.whole_state import WholeState

CPU = torch.device("cpu")
RECIPES: list[dict[str, Any]] = [
    {"optimizer": "sgd", "weight_decay": 1e-3},
    {"optimizer": "adam", "precision": "bf16", "random_crop": True, "crop_padding": 2, "horizontal_flip": True},
    {"optimizer": "adamw", "precision": "fp16", "resize": 14, "random_crop": True},
]


def made(changes: dict[str, Any], small: Network, device: torch.device) -> tuple[Recipe, Preprocess]:
    recipe = Recipe(**changes)
    none = ResidentSplit(torch.zeros(0, 1, 12, 12, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), CPU)
    dataset = Dataset("none", tuple("0123456789"), 1, (0.5,), (0.2,), none, none, size=(12, 12))
    return recipe, Preprocess(recipe, small.input, dataset, device)


@pytest.mark.parametrize("changes", RECIPES, ids=lambda changes: str(changes["optimizer"]))
def test_a_step_reads_no_value_from_the_device(
    changes: dict[str, Any], small: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocessing, "_crop_one_by_one", preprocessing._crop_at_once)  # as on a GPU
    recipe, preprocess = made(changes, small, CPU)
    precision = Precision("fp32" if recipe.precision == "auto" else recipe.precision, CPU)
    # Tensors without values: whatever looks at one raises.
    model = build(small)
    with FakeTensorMode(allow_non_fake_inputs=True) as without_values:
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(without_values.from_tensor(parameter.detach())))
        objective = Objective(model, recipe, precision)
        guard = NonfiniteGuard(make_optimizer(recipe, model), CPU, scaled=precision.scaled)
        log = StepLog(CPU)
        figures, answers = LayerFigures(small, model, WholeState(), SINGLE_RANK), Answers(10, CPU)
        images, labels = torch.zeros(8, 1, 12, 12, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
        for step in range(2):
            inputs = preprocess.train(images, seed=step)
            with figures.measuring() as measurement:
                loss, correct = objective(inputs, labels)
                failed = guard.step(loss, 1 / 8, measurement.before_update)
                log.add(step_row(loss, correct, failed), len(labels), 1.0)
            figures.keep(step, measurement.row())
            answers.add(images, labels, torch.zeros(8, 10), torch.arange(8))
        with pytest.raises(DataDependentOutputException):
            figures.take()
        with pytest.raises(DataDependentOutputException):
            log.take().tolist()


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records which copies between devices are waited for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waited: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device != result.device:
            self.waited.append(not (kwargs or {}).get("non_blocking"))
        return result


@pytest.mark.parametrize("changes", RECIPES, ids=lambda changes: str(changes["optimizer"]))
def test_a_step_waits_for_no_copy_to_the_gpu(changes: dict[str, Any], small: Network) -> None:
    gpu = torch.device("cuda", 0)
    recipe, preprocess = made(changes, small, gpu)
    model = build(small)
    with FakeTensorMode(allow_non_fake_inputs=True) as without_values:  # a GPU's tensors without a GPU: forward alone
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(without_values.from_tensor(parameter.detach()).to(gpu)))
        images = torch.zeros(8, 1, 12, 12, dtype=torch.uint8, device=gpu)
        labels = torch.zeros(8, dtype=torch.int64, device=gpu)
        answers = Answers(10, gpu)
        with Copies() as copies:
            loss, correct = Objective(model, recipe, Precision("fp32", gpu))(preprocess.train(images, seed=1), labels)
            answers.add(images, labels, torch.zeros(8, 10, device=gpu), torch.arange(8))
    assert loss.device == correct.device == gpu
    assert copies.waited
    assert not any(copies.waited)


def test_batches_that_sit_on_a_gpu_are_not_waited_for() -> None:
    gpu = torch.device("cuda", 0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        split = ResidentSplit(torch.zeros(8, 1, 4, 4, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64), gpu)
        with Copies() as copies:
            images, labels = next(split.batches(torch.arange(8), 4))
    assert images.device == labels.device == gpu
    assert copies.waited == [False]  # the epoch's order
