"""What takes PyTorch to check is found before there is a run, in the words of the worker that would refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexplore.runs.config import RunConfig
from alexplore.training.errors import CheckpointError, TrainingError
from alexplore.training.hardware import choose_device, choose_ranks
from alexplore.training.model.build import build
from alexplore.training.preflight import find_problems
from tests.support.training import train_here
from tests.training.conftest import MakeRun


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"device": "cuda"}, "device"),
        ({"device": "mps", "gpus": 3}, "device"),
        ({"parallel": "towers"}, "parallel"),  # 5 kernels can't be halved
    ],
)
def test_the_words_are_those_of_the_worker(changes: Mapping[str, Any], setting: str, config: RunConfig) -> None:
    first, *others = config.network.layers
    odd = replace(config.network, layers=(replace(first, out_channels=5), *others), towers=2)  # type: ignore[call-arg]
    config = replace(config.change(changes), network=odd)
    with pytest.raises(TrainingError) as refused:
        choose_ranks(config, choose_device(config.hardware))
    (problem, *_) = find_problems(config)
    assert (problem.setting, problem.message) == (setting, str(refused.value))
    assert problem.fix is not None
    assert not list(find_problems(config.change(problem.fix.changes)))


@pytest.mark.parametrize("content", ["nothing", "text", "no tensors", "other tensors"])
def test_weights_that_cannot_be_used_are_found(content: str, make_run: MakeRun, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    if content == "text":
        file.write_text("not weights", encoding="ascii")
    elif content != "nothing":
        torch.save({"a.weight": torch.zeros(3, 3)} if content == "other tensors" else {}, file)
    run = make_run("run", weights=str(file))
    with pytest.raises(CheckpointError) as refused:
        train_here(run)
    (problem,) = find_problems(run.config())
    assert (problem.setting, problem.message) == ("weights", str(refused.value))


def test_weights_that_fit_a_layer_are_no_problem(config: RunConfig, tmp_path: Path) -> None:
    torch.save(build(config.network.with_classes(3)).state_dict(), tmp_path / "weights.pt")
    assert not list(find_problems(config.change({"weights": str(tmp_path / "weights.pt")})))


def test_a_network_that_no_memory_holds_is_found(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(find_problems(config))
    monkeypatch.setattr("psutil.virtual_memory", type("Memory", (), {"total": 1000}))
    (problem,) = find_problems(config)
    assert problem.message.startswith("the network can't be built: ")
