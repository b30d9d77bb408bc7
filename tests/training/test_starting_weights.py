"""Training that starts from weights: what it takes, what stays frozen, and the same bits after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from alexplore.network.analysis import analyse, training_flops
from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory
from alexplore.training.checkpoint import read
from alexplore.training.errors import CheckpointError
from alexplore.training.model.build import build
from alexplore.training.optim import make_optimizer
from tests.support.runs import change_run, events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun
from tests.training.test_resume import Killed, kill_at

__all__ = ["kill_at"]

NORMED: dict[str, Any] = {
    "input": [1, 12, 12],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel_size": 3},
        {"name": "norm1", "type": "batch_norm"},
        {"name": "relu1", "type": "relu"},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc2", "type": "linear", "out_features": 10},
    ],
}
RECIPE: dict[str, Any] = {"checkpoint_minutes": 1e-9, "epochs": 2, "freeze": ("conv*", "norm*"), "head_lr": 4.0}


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A file of weights with seven classes, and the weights."""
    weights = build(read_network(NORMED).with_classes(7), seed=5).state_dict()
    weights["norm1.running_mean"] = torch.linspace(-1, 1, 6)
    torch.save({"epoch": 1, "state": {f"module.{name}": tensor for name, tensor in weights.items()}}, tmp_path / "w.pt")
    return tmp_path / "w.pt", weights


def tuned_run(make_run: MakeRun, name: str, file: Path, **more: Any) -> RunDirectory:
    recipe = {**RECIPE, **more}
    return make_run(name, network=read_network(NORMED).freeze(recipe["freeze"]), weights=str(file), **recipe)


def last(run: RunDirectory) -> dict[str, Tensor]:
    return read(run.checkpoints_folder / "last").weights


def test_frozen_layers_and_their_statistics_stay_as_the_file_has_them(
    make_run: MakeRun, trained: tuple[Path, dict[str, Tensor]]
) -> None:
    file, given = trained
    run = tuned_run(make_run, "tuned", file)
    assert train_here(run) == "finished"
    found = last(run)
    for name, tensor in found.items():
        assert torch.equal(tensor, given[name]) == (not name.startswith("fc2")), name
    (event,) = events(run, "weights")
    assert event["source"] == str(file)
    assert event["taken"] == {"conv1": "conv1", "norm1": "norm1"}
    assert event["left"] == {"fc2": "the file has bias 7 and weight 7×600, the network bias 10 and weight 10×600"}
    assert event["unused"] == {"fc2": "bias 7 and weight 7×600"}


def test_an_average_begins_with_the_weights_of_the_file(
    make_run: MakeRun, trained: tuple[Path, dict[str, Tensor]]
) -> None:
    file, given = trained
    run = tuned_run(make_run, "averaged", file, ema_decay=0.99, epochs=1)
    assert train_here(run) == "finished"
    found = last(run)
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items() if not name.startswith("fc2"))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_killed_anywhere_it_ends_with_the_same_bits(
    optimizer: str, make_run: MakeRun, trained: tuple[Path, dict[str, Tensor]], kill_at: list[int]
) -> None:
    file, _ = trained
    recipe = {"optimizer": optimizer, "freeze": ("norm*",), "lr": 0.01}
    whole, parts = tuned_run(make_run, "whole", file, **recipe), tuned_run(make_run, "parts", file, **recipe)
    assert train_here(whole) == "finished"
    kill_at += [10 + 1, 10 + 4, 10 + 9]
    for attempt in range(3):
        with pytest.raises(Killed):
            train_here(parts)
        if attempt == 1:
            file.unlink()  # a run with a checkpoint needs it no longer
    assert train_here(parts) == "finished"
    ours, theirs = (read(run.checkpoints_folder / "last") for run in (parts, whole))
    assert all(torch.equal(ours.weights[name], weight) for name, weight in theirs.weights.items())
    for index, slot in theirs.state["optimizer"]["state"].items():
        assert all(torch.equal(ours.state["optimizer"]["state"][index][key], value) for key, value in slot.items())
    assert [group["multiplier"] for group in theirs.state["optimizer"]["param_groups"]] == [1, 1, 4, 4]
    assert metrics(parts) == metrics(whole)


def test_a_file_of_another_network_is_refused_with_the_shapes(make_run: MakeRun, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    run = tuned_run(make_run, "run", tmp_path / "other.pt")
    with pytest.raises(
        CheckpointError, match=r"no layer of the network can take weights from it\. conv1: the file has no"
    ):
        train_here(run)


def test_the_head_has_its_own_rate_and_the_groups_of_before_without_one(small: Network) -> None:
    model = build(small)
    plain = make_optimizer(Recipe(bias_lr=2.0), model, ["fc4"])
    assert [group["multiplier"] for group in plain.param_groups] == [1, 2]
    own = make_optimizer(Recipe(bias_lr=2.0, head_lr=10.0), model, ["fc4"])
    rates = {id(parameter): group["multiplier"] for group in own.param_groups for parameter in group["params"]}
    named = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert (named["fc4.weight"], named["fc4.bias"]) == (10, 20)
    assert {rate for name, rate in named.items() if not name.startswith("fc4")} == {1, 2}


def test_all_layers_that_take_nothing_have_the_rate_of_a_new_head(
    make_run: MakeRun, trained: tuple[Path, dict[str, Tensor]]
) -> None:
    """Also when the run is resumed, without the file."""
    file, _ = trained
    network = read_network({**NORMED, "layers": [
        *NORMED["layers"][:3],
        {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel_size": 3},
        *NORMED["layers"][3:],
    ]})  # fmt: skip
    run = make_run("more", network=network, weights=str(file), head_lr=5.0, epochs=1, checkpoint_minutes=1e-9)
    assert train_here(run) == "finished"
    expected = {"conv1": 1, "norm1": 1, "conv2": 5, "fc2": 5}

    def rates() -> dict[str, float]:
        """The multiples of the learning rate by layer; the groups of a checkpoint have the model's order within."""
        state = read(run.checkpoints_folder / "last").state
        groups = state["optimizer"]["param_groups"]
        sizes = [[state["optimizer"]["state"][index]["exp_avg"].numel() for index in one["params"]] for one in groups]
        names = {name.rpartition(".")[0]: tensor.numel() for name, tensor in last(run).items() if "weight" in name}
        found = {size: group["multiplier"] for group, own in zip(groups, sizes, strict=True) for size in own}
        return {name: found[size] for name, size in names.items()}

    assert rates() == expected
    file.unlink()
    change_run(run, {"epochs": 2})
    assert train_here(run) == "finished"
    assert rates() == expected


def test_frozen_layers_take_fewer_operations(small: Network) -> None:
    """A frozen first layer takes its forward pass alone; one behind a trained layer passes gradients on."""
    macs = {"conv1": 6 * 9 * 144, "conv2": 8 * 27 * 9, "fc3": 72 * 16, "fc4": 160}
    assert training_flops(analyse(small)) == 2 * (3 * sum(macs.values()) - macs["conv1"])
    first = training_flops(analyse(small.freeze(["conv1"])))
    assert first == 2 * (macs["conv1"] + 2 * macs["conv2"] + 3 * (macs["fc3"] + macs["fc4"]))
    middle = training_flops(analyse(small.freeze(["fc3"])))
    assert middle == 2 * (2 * macs["conv1"] + 3 * macs["conv2"] + 2 * macs["fc3"] + 3 * macs["fc4"])


def test_a_resumed_run_starts_without_the_file_that_it_no_longer_needs(
    make_run: MakeRun, trained: tuple[Path, dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = trained
    run = tuned_run(make_run, "run", file)
    file.unlink()
    monkeypatch.setattr(service, "start", lambda run, *_: run)
    with pytest.raises(service.PlanError, match="there is no such file"):
        service.restart(run)
    (run.checkpoints_folder / "last").mkdir(parents=True)
    service.restart(run)
    assert json.loads(run.config_file.read_text())["recipe"]["weights"] == str(file)
