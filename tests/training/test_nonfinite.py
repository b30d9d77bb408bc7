"""Values that are not finite never reach the weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.network.graph import Network
from alexplore.network.layers.batch_norm import BatchNorm
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.recipe import Recipe
from alexplore.training import nonfinite
from alexplore.training.checkpoint import read
from alexplore.training.errors import NotFiniteError
from alexplore.training.evaluate import EpochResult
from alexplore.training.loop import Trainer
from alexplore.training.nonfinite import NonfiniteGuard, find_nonfinite, optimizer_tensors
from alexplore.training.optim import make_optimizer
from tests.support.training import train_here
from tests.training.conftest import MakeRun

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
def test_a_nonfinite_loss_changes_nothing_nor_do_later_steps(optimizer: str, steps: int, bad: float) -> None:
    model, made, one = trained(optimizer, steps=steps)
    before = copy.deepcopy(model.state_dict())
    assert one.step(loss_of(model, bad), 0.5) == 1
    after = everything(model, made)
    assert one.step(loss_of(model), 0.5) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert all(torch.equal(a, b) for a, b in zip(after, everything(model, made), strict=True))
    assert all(bool(value.isfinite().all()) for value in after)


def test_a_nonfinite_gradient_of_a_finite_loss_is_detected() -> None:
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
def test_a_nonfinite_loss_makes_all_gradients_nan(bad: float) -> None:
    model, _, one = trained("adam", steps=1)
    before = copy.deepcopy(model.state_dict())
    assert one.step(loss_of(model) + bad, 0.5) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    # What ranks exchange are gradients: each of them must tell the others.
    assert all(parameter.grad is not None and bool(parameter.grad.isnan().all()) for parameter in model.parameters())


def test_a_failure_on_another_rank_skips_the_step() -> None:
    model = nn.Linear(3, 2)
    one = NonfiniteGuard(make_optimizer(Recipe(), model), CPU, agree=torch.ones_like)
    before = copy.deepcopy(model.state_dict())
    assert one.step(loss_of(model), 1.0) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loss_scaling_does_not_change_updates(optimizer: str) -> None:
    plain, *_ = trained(optimizer, steps=3)
    scaled, *_ = trained(optimizer, steps=3, scaled=True)
    for ours, theirs in zip(scaled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_overflow_halves_the_scale_and_fails_only_at_scale_1() -> None:
    model, made, one = trained("sgd", steps=0, scaled=True)
    before = copy.deepcopy(model.state_dict())
    halvings = round(math.log2(nonfinite.FIRST_SCALE))
    for _ in range(halvings):
        assert one.step(loss_of(model, math.inf), 0.5) == 0
    assert one.state()["scale"] == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    resumed = NonfiniteGuard(made, CPU, scaled=True)
    resumed.load(one.state())
    assert resumed.state()["scale"] == 1
    assert one.step(loss_of(model, math.inf), 0.5) == 1


def test_the_scale_has_a_maximum() -> None:
    model, made, _ = trained("sgd", steps=0, scaled=True)
    one = NonfiniteGuard(made, CPU, scaled=True)
    one.load({"scale": torch.tensor(2.0**24), "calm": torch.tensor(float(nonfinite.GROWTH_STEPS))})
    assert one.step(loss_of(model, 1e-9), 0.5) == 0
    assert one.state()["scale"] == 2.0**24


def test_the_scale_grows_after_steps_without_overflow_and_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "GROWTH_STEPS", 3)
    _, made, one = trained("sgd", steps=4, scaled=True)
    assert one.state()["scale"] == 2 * nonfinite.FIRST_SCALE
    assert one.state()["calm"] == 1
    other = NonfiniteGuard(made, CPU, scaled=True)
    other.load(one.state())
    assert other.state() == one.state()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_buffer_that_is_not_finite_fails_the_step_and_all_later_ones(scaled: bool, bad: float) -> None:
    model = nn.Linear(3, 2)
    buffers = [torch.zeros(3), torch.zeros((), dtype=torch.int64), torch.ones(2, 2)]
    one = NonfiniteGuard(make_optimizer(Recipe(), model), CPU, scaled=scaled, buffers=buffers)
    assert one.step(loss_of(model), 0.5) == 0
    before = copy.deepcopy(model.state_dict())
    buffers[2][1, 0] = bad
    assert one.step(loss_of(model), 0.5) == 1
    buffers[2].fill_(1)
    assert one.step(loss_of(model), 0.5) == 1
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_the_first_tensor_that_is_not_finite_is_found() -> None:
    largest = torch.full((3,), torch.finfo(torch.float32).max)  # its sum is infinite, and no value of it
    tensors = {"count": torch.tensor(3), "large": largest, "bad": torch.tensor([1.0, -math.inf]), "worse": largest / 0}
    assert find_nonfinite(tensors.items()) == "bad"
    assert find_nonfinite(list(tensors.items())[:2]) is None


def test_the_optimizers_tensors_have_the_names_of_their_parameters() -> None:
    model, made, _ = trained("adam", steps=1)
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    found = {name for name, _ in optimizer_tensors(made, names)}
    assert {"the optimizer's exp_avg of weight", "the optimizer's exp_avg_sq of bias"} <= found


@pytest.mark.parametrize(
    ("lr", "optimizer", "said"),
    [
        (1e10, "sgd", r"step 3: the buffer norm0\.running_var is not finite"),
        (1e10, "adam", r"step 5: the optimizer's exp_avg_sq of \S+ is not finite, so no checkpoint was saved"),
        (1e30, "adam", r"step 2: the buffer norm0\.running_var is not finite"),
    ],
)
def test_a_network_with_batch_norm_stops_before_it_saves_what_is_not_finite(
    make_run: MakeRun, small: Network, lr: float, optimizer: str, said: str
) -> None:
    run = make_run(network=small.insert(1, BatchNorm(name="norm0")), lr=lr, optimizer=optimizer)
    with pytest.raises(NotFiniteError, match=said):
        train_here(run)
    assert list(run.checkpoints_folder.iterdir()) == []


def test_what_the_last_step_spoils_is_not_saved(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The update of an epoch's last step may overflow, which no later step of the epoch can find."""
    run = make_run(epochs=2)
    plain = Trainer._evaluate
    evaluations = 0

    def spoil(self: Trainer) -> EpochResult:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 2:
            with torch.no_grad():
                next(self.model.parameters())[0] = math.inf
        return plain(self)

    monkeypatch.setattr(Trainer, "_evaluate", spoil)
    with pytest.raises(NotFiniteError, match=r"step 10: conv1\.weight is not finite, .* the last checkpoint is good"):
        train_here(run)
    assert read(run.checkpoints_folder / "last").manifest["step"] == 5


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_what_a_gpu_calculates_of_the_gradients_is_finite_only_if_they_are(bad: float, place: int) -> None:
    gradients = [torch.full((3, 2), 3e38), torch.tensor([-3e38, 1e-30])]
    assert not nonfinite._is_not_finite(nonfinite.largest_values(gradients))
    gradients[place].view(-1)[1] = bad
    assert nonfinite._is_not_finite(nonfinite.largest_values(gradients)) == 1
