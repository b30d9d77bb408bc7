"""Batches that are computed in parts have the gradients of the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from alexplore.network.graph import Network
from alexplore.network.layers.dropout import Dropout
from alexplore.presets.recipe import Recipe
from alexplore.training.micro_batches import MicroBatches
from alexplore.training.model.build import build
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.objective import Objective
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import SINGLE_RANK, Ranks
from alexplore.training.precision import Precision
from alexplore.training.step_timer import StepTimer
from tests.support.runs import metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun

CPU = torch.device("cpu")


def without_dropout(network: Network) -> Network:
    """Return the network without what is random: each part would draw numbers of its own."""
    index = next(index for index, layer in enumerate(network.layers) if isinstance(layer, Dropout))
    return network.change(index, {"p": 0})


def gradients(network: Network, size: int | None, count: int) -> tuple[dict[str, Tensor], float, int]:
    """Return the gradients of a batch in parts of `size`, its loss and its correct answers, in fp64."""
    torch.manual_seed(4)
    recipe = Recipe()
    model = build(network, seed=1).double()
    guard = NonfiniteGuard(make_optimizer(recipe, model), CPU)
    images, labels = torch.randn(count, *network.input, dtype=torch.float64), torch.randint(0, 10, (count,))
    batches = MicroBatches(Objective(model, recipe, Precision("fp32", CPU)), guard, SINGLE_RANK, size, StepTimer(CPU))
    loss, correct = batches.gradients(images, labels, count, torch.tensor(1 / count))
    found = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return found, float(loss.detach()), int(correct)


@pytest.mark.parametrize(("size", "count"), [(1, 6), (4, 12), (5, 12), (40, 12)])
def test_the_gradients_of_the_parts_add_up_to_those_of_the_batch(size: int, count: int, small: Network) -> None:
    network = without_dropout(small)
    whole, loss, correct = gradients(network, None, count)
    parts, loss_of_parts, correct_of_parts = gradients(network, size, count)
    assert loss_of_parts == pytest.approx(loss)
    assert correct_of_parts == correct
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, msg=name)


@pytest.mark.parametrize(
    ("size", "batch", "ranks", "count"),
    [(None, 64, 1, 1), (16, 64, 1, 4), (16, 65, 1, 5), (16, 64, 4, 1), (16, 65, 4, 2), (16, 1, 4, 1), (1, 3, 1, 3)],
)
def test_all_ranks_have_as_many_parts_as_the_largest_share_needs(
    size: int | None, batch: int, ranks: int, count: int
) -> None:
    objective: Any = None
    guard: Any = None
    for rank in range(ranks):
        assert MicroBatches(objective, guard, Ranks(rank, ranks), size, StepTimer(CPU)).count(batch) == count


def test_a_run_in_parts_learns_what_it_learns_in_whole_batches(make_run: MakeRun, small: Network) -> None:
    lines = []
    for size in (None, 5):
        run = make_run(f"parts of {size}", network=without_dropout(small), micro_batch_size=size, weight_decay=0.01)
        assert train_here(run) == "finished"
        lines.append({key: value for key, value in metrics(run).items() if "loss" in key[0]})
    assert lines[0].keys() == lines[1].keys()
    for key, value in lines[0].items():
        assert lines[1][key] == pytest.approx(value, rel=1e-3), key
