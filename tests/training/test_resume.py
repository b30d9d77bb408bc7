"""A run that was interrupted ends with the same bits and metrics as one that was not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.schedules import SCHEDULES
from alexplore.runs.checkpoint_names import WEIGHTS
from alexplore.runs.config import RunConfig
from alexplore.runs.control import Request, write_request
from alexplore.runs.directory import RunDirectory
from alexplore.runs.kernel_choice import VARIABLE
from alexplore.runs.status import read_status
from alexplore.training import checkpoint, loop, precision_choice, session
from alexplore.training.checkpoint import read
from alexplore.training.compute_setup import ComputeSetup, earlier_setup
from alexplore.training.data.catalog import open_dataset
from alexplore.training.data.dataset import Dataset
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.errors import CheckpointError, GoneError
from alexplore.training.kernels import table
from alexplore.training.kernels.table import TABLE, available, choose_kernels, kernels_of
from alexplore.training.loop import Trainer
from alexplore.training.model.build import build
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.run_writer import History, RunWriter
from alexplore.training.timing import Comparison
from tests.support.runs import change_run, events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun


class Killed(BaseException):
    """Stands for SIGKILL in the test's own process."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list for the numbers of the batches, over all attempts, at which training is killed."""
    deaths: list[int] = []
    seen = 0
    plain = Preprocess.draw

    def dying(self: Preprocess, count: int, seed: int, before: int = 0) -> tuple[Tensor, ...]:
        nonlocal seen
        seen += 1
        if seen in deaths:
            raise Killed
        return plain(self, count, seed, before)

    monkeypatch.setattr(Preprocess, "draw", dying)
    return deaths


def weights(run: RunDirectory, name: str = "last") -> dict[str, Tensor]:
    return read(run.checkpoints_folder / name).weights


def assert_same_end(one: RunDirectory, other: RunDirectory) -> None:
    ours, theirs = read(one.checkpoints_folder / "last"), read(other.checkpoints_folder / "last")
    assert all(torch.equal(ours.weights[name], weight) for name, weight in theirs.weights.items())
    for name, weight in theirs.state.get("trained_weights", {}).items():
        assert torch.equal(ours.state["trained_weights"][name], weight)
    for index, slot in theirs.state["optimizer"]["state"].items():
        for key, value in slot.items():
            assert torch.equal(ours.state["optimizer"]["state"][index][key], value)
    assert metrics(one) == metrics(other)


RECIPES: dict[str, dict[str, Any]] = {
    "adam, step": {"schedule": "step", "step_epochs": 1},
    "sgd, plateau": {"optimizer": "sgd", "lr": 0.05, "schedule": "plateau", "patience": 0, "gamma": 0.5},
    "sgd, constant": {"optimizer": "sgd", "lr": 0.05, "schedule": "constant", "momentum": 0.0},
    "adamw, cosine": {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine", "warmup_epochs": 0.5},
    "averaged, clipped, in parts": {
        "schedule": "constant", "ema_decay": 0.9, "clip_grad_norm": 0.5, "micro_batch_size": 5,
    },
    "averaged over the last epochs": {"schedule": "cosine", "swa_epochs": 2, "swa_lr": 0.5},
    "balanced": {
        "schedule": "constant", "class_weights": "balanced", "balanced_sampling": True, "monitor": "val/loss",
        "early_stopping": 50,
    },
}  # fmt: skip


def test_the_recipes_below_have_every_optimizer_and_schedule() -> None:
    """`make_run` trains with adam unless a recipe names another optimizer."""
    assert {recipe.get("optimizer", "adam") for recipe in RECIPES.values()} == OPTIMIZERS.keys()
    assert {recipe["schedule"] for recipe in RECIPES.values()} == SCHEDULES.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_killed_anywhere_it_ends_with_the_same_bits(
    name: str, make_run: MakeRun, kill_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**RECIPES[name], "epochs": 3, "checkpoint_minutes": 1e-9}  # a checkpoint at every look
    whole = make_run("whole", **recipe)
    assert train_here(whole) == "finished"
    parts = make_run("parts", **recipe)
    start = 15  # batches that the whole run took
    kill_at += [start + 1, start + 4, start + 9, start + 15, start + 16]
    attempts = 1
    while True:
        try:
            train_here(parts)
            break
        except Killed:
            attempts += 1
    assert attempts == 6
    assert_same_end(parts, whole)
    assert {event["attempt"] for event in events(parts)} == set(range(6))


def test_the_last_epochs_are_averaged(make_run: MakeRun, small: Network) -> None:
    """The mean is that of the weights of two runs that end after these epochs."""
    recipe: dict[str, Any] = {"optimizer": "sgd", "lr": 0.05, "swa_lr": 1.0}
    averaged = make_run("averaged", epochs=3, swa_epochs=2, **recipe)
    ends = [make_run(f"epochs {epochs}", epochs=epochs, **recipe) for epochs in (2, 3)]
    for run in (averaged, *ends):
        assert train_here(run) == "finished"
    model = build(small)
    mean = AveragedModel(model)
    for run in ends:
        model.load_state_dict(weights(run))
        mean.update_parameters(model)
    trained = read(averaged.checkpoints_folder / "last").state["trained_weights"]
    for name, value in mean.module.named_parameters():
        torch.testing.assert_close(weights(averaged)[name], value.detach())
    assert all(torch.equal(trained[name], weight) for name, weight in weights(ends[1]).items())


@pytest.mark.parametrize("name", ["fmnist-28", "cifar10-relu", "cifar10-tanh", "lenet"])
def test_presets_killed_anywhere_end_with_the_same_bits(name: str, make_run: MakeRun, kill_at: list[int]) -> None:
    """Of the presets that train in seconds, with their own recipes."""
    preset = load_preset(name)
    recipe = preset.recipe.to_dict(defaults=False) | {
        "dataset": "synthetic", "batch_size": 16, "epochs": 2, "checkpoint_minutes": 1e-9, "random_crop": True,
    }  # fmt: skip
    whole = make_run("whole", network=preset.network, **recipe)
    assert train_here(whole) == "finished"
    parts = make_run("parts", network=preset.network, **recipe)
    kill_at += [10 + 2, 10 + 3, 10 + 9]
    for _ in range(3):
        with pytest.raises(Killed):
            train_here(parts)
    assert train_here(parts) == "finished"
    assert_same_end(parts, whole)


BRANCHES: dict[str, Any] = {
    "input": [3, 12, 12],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
        {"name": "norm1", "type": "batch_norm"},
        {"name": "relu1", "type": "relu"},
        {"name": "conv2", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
        {"name": "norm2", "type": "batch_norm"},
        {"name": "sum", "type": "add", "inputs": ["norm2", "relu1"]},
        {"name": "wide", "type": "conv2d", "inputs": ["sum"], "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "narrow", "type": "conv2d", "inputs": ["sum"], "out_channels": 4, "kernel_size": 1},
        {"name": "mixed", "type": "concat", "inputs": ["wide", "narrow"]},
        {"name": "pool", "type": "adaptive_avg_pool2d", "output_size": 1},
        {"name": "gate", "type": "sigmoid"},
        {"name": "gated", "type": "mul", "inputs": ["mixed", "gate"]},
        {"name": "drop", "type": "dropout", "p": 0.2},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 10},
    ],
}


def test_a_network_with_branches_killed_anywhere_ends_with_the_same_bits(make_run: MakeRun, kill_at: list[int]) -> None:
    network = read_network(BRANCHES)
    whole, parts = (make_run(name, network=network, checkpoint_minutes=1e-9) for name in ("whole", "parts"))
    assert train_here(whole) == "finished"
    kill_at += [10 + 2, 10 + 5, 10 + 9]
    for _ in range(3):
        with pytest.raises(Killed):
            train_here(parts)
    assert train_here(parts) == "finished"
    assert_same_end(parts, whole)


def test_statistics_of_an_average_are_estimated_alike_after_a_kill(make_run: MakeRun, kill_at: list[int]) -> None:
    network = read_network(BRANCHES)
    recipe: dict[str, Any] = {"network": network, "epochs": 2, "swa_epochs": 2, "checkpoint_minutes": 1e-9}
    whole, parts = make_run("whole", **recipe), make_run("parts", **recipe)
    assert train_here(whole) == "finished"
    kill_at += [20 + 7, 20 + 7 + 4, 20 + 7 + 4 + 8]  # each epoch takes five batches, and its statistics five more
    for _ in kill_at:
        with pytest.raises(Killed):
            train_here(parts)
    assert train_here(parts) == "finished"
    assert_same_end(parts, whole)
    found, trained = weights(parts), read(parts.checkpoints_folder / "last").state["trained_weights"]
    assert not any(torch.equal(found[name], trained[name]) for name in found if "running" in name)


def test_a_metrics_line_covers_the_steps_since_the_last_one_even_after_a_kill(
    make_run: MakeRun, kill_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    single = make_run("single", epochs=1)
    train_here(single)
    monkeypatch.setattr(loop, "record_interval", lambda *_: 3)
    whole = make_run("whole", epochs=1)
    train_here(whole)
    parts = make_run("parts", epochs=1, checkpoint_minutes=1e-9)
    kill_at.append(10 + 3)  # with one of three steps behind it
    with pytest.raises(Killed):
        train_here(parts)
    train_here(parts)
    steps = metrics(single)
    for run in (whole, parts):
        lines = metrics(run)
        assert [step for key, step in lines if key == "train/loss"] == [1, 2, 3, 5]
        assert lines["train/loss", 2] == steps["train/loss", 2]
        last = (16 * steps["train/loss", 4] + 11 * steps["train/loss", 5]) / 27
        assert lines["train/loss", 5] == pytest.approx(last)
    assert_same_end(parts, whole)


def test_stopped_at_every_sync_point_it_continues_from_there(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_run("whole")
    train_here(whole)
    parts = make_run("parts")
    requests: list[Request] = []
    stopped_at: list[int] = []
    plain = Trainer.train

    def asked_to_stop(self: Trainer) -> None:
        if stopped_at[-2:] != [5, 5]:  # stopped before its first batch, and again before it was done
            requests.append(write_request(parts, "stop"))  # heard at the first look, which comes after one step
        plain(self)

    monkeypatch.setattr(Trainer, "train", asked_to_stop)
    while train_here(parts) == "stopped":
        answer = events(parts, "control")[-1]
        assert (answer["request"], answer["action"]) == (requests[-1].id, "stop")
        stopped_at.append(answer["step"])
    assert stopped_at == [1, 2, 3, 4, 5, 5]
    assert_same_end(parts, whole)


def test_a_resumed_run_keeps_precision_and_threads(
    make_run: MakeRun, kill_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(precision="auto")
    kill_at.append(5)  # two of them to time
    monkeypatch.setattr(precision_choice, "compare", lambda *_: Comparison({"fp32": 0.3, "bf16": 0.2}, 1.5))
    with pytest.raises(Killed):
        train_here(run)
    (chosen,) = events(run, "precision")
    assert chosen["seconds"] == {"fp32": 0.3, "bf16": 0.2}
    assert chosen["precision"] == "bf16"
    monkeypatch.setattr(precision_choice, "compare", lambda *_: pytest.fail("timed again"))
    torch.set_num_threads(2)
    try:
        train_here(run)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)
    assert events(run, "precision")[1] == {**chosen, "kept": True, **dict.fromkeys(("seq", "attempt", "time"), ANY)}
    assert [event["threads"] for event in events(run, "start")] == [1, 1]


def test_damaged_last_checkpoint_falls_back_to_previous_with_a_warning(make_run: MakeRun) -> None:
    whole = make_run("whole")
    train_here(whole)
    run = make_run("run")
    train_here(run)
    file = run.checkpoints_folder / "last" / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    train_here(run)
    (warning,) = events(run, "warning")
    assert "last/model.safetensors: damaged" in warning["message"]
    assert events(run, "start")[1]["step"] == 5  # the end of the first epoch
    assert_same_end(run, whole)


def test_a_full_disk_is_reported_and_the_run_does_not_end_as_finished(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(epochs=3)
    plain = checkpoint._write_weights
    written: list[Path] = []

    def full(path: Path, tensors: dict[str, Tensor]) -> None:
        written.append(path)
        plain(path, tensors)
        if 1 < len(written) <= 3:
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "_write_weights", full)
    with pytest.raises(CheckpointError, match=r"no checkpoint at step 15: .* No space left on device; make room"):
        train_here(run)
    warnings = events(run, "warning")
    assert len(warnings) == 2
    assert all("No space left on device" in warning["message"] for warning in warnings)
    manifest = json.loads((run.checkpoints_folder / "last" / "manifest.json").read_text())
    assert manifest["epoch"] == 1  # the last good one
    assert sorted(path.name for path in run.checkpoints_folder.iterdir()) == ["best", "last"]
    assert read(run.checkpoints_folder / "last").state["progress"]["epoch"] == 1

    assert train_here(run) == "finished"  # resumed, with room again
    whole = make_run("whole", epochs=3)
    train_here(whole)
    for name in ("last", "best"):
        ours, theirs = (read(one.checkpoints_folder / name) for one in (run, whole))
        assert all(torch.equal(ours.weights[key], weight) for key, weight in theirs.weights.items())


def test_a_request_for_a_checkpoint_before_training_is_refused(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    asked = write_request(run, "checkpoint")
    train_here(run)
    (answer,) = events(run, "control")
    assert (answer["request"], answer["error"]) == (asked.id, "training has not started")


def test_a_pause_before_training_waits_for_the_first_steps(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    asked = [write_request(run, "pause"), write_request(run, "resume")]
    train_here(run)
    answers = events(run, "control")
    assert [answer["request"] for answer in answers] == [request.id for request in asked]
    assert all(answer["step"] > 0 and "error" not in answer for answer in answers)


def test_a_resumed_run_uses_the_changed_settings(make_run: MakeRun) -> None:
    run = make_run(epochs=1, lr=0.003, weight_decay=0.0)
    train_here(run)
    change_run(run, {"epochs": 2, "lr": 0.001, "weight_decay": 0.1})
    assert train_here(run) == "finished"
    rates = {rate for (key, step), rate in metrics(run).items() if key == "lr" and step > 5}
    assert rates == {0.001}
    group = read(run.checkpoints_folder / "last").state["optimizer"]["param_groups"][0]
    assert (group["lr"], group["weight_decay"]) == (0.001, 0.1)
    assert [event["recipe"]["lr"] for event in events(run, "start")] == [0.003, 0.001]


def test_best_is_the_epoch_with_the_best_accuracy(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.5, 0.9, 0.7])
    plain = Trainer._evaluate

    def evaluate(self: Trainer) -> Any:
        result = plain(self)
        return type(result)(result.loss_sum, round(next(accuracies) * 1000), result.correct_top5, 1000)

    monkeypatch.setattr(Trainer, "_evaluate", evaluate)
    run = make_run(epochs=3)
    train_here(run)
    manifests = {
        name: json.loads((run.checkpoints_folder / name / "manifest.json").read_text())
        for name in ("last", "previous", "best")
    }
    assert {name: manifest["epoch"] for name, manifest in manifests.items()} == {"last": 3, "previous": 2, "best": 2}
    best, previous = weights(run, "best"), weights(run, "previous")
    assert all(torch.equal(best[name], previous[name]) for name in best)


def test_a_stop_is_handled_while_data_are_loaded(make_run: MakeRun) -> None:
    run = make_run()
    asked = []

    def slow(config: RunConfig, device: torch.device, report: Callable[[str], None], _: object) -> Dataset:
        asked.append(write_request(run, "stop"))
        report("downloading, 1 %")
        return open_dataset(config, device, report)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "open_dataset", slow)
        assert train_here(run) == "stopped"
    assert events(run, "control")[0]["request"] == asked[0].id
    assert train_here(run) == "finished"


def test_precision_and_threads_are_kept_without_events(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits belong to the checkpoint: events.jsonl is a log that may be lost."""
    run = make_run(precision="auto", epochs=1)
    monkeypatch.setattr(precision_choice, "compare", lambda *_: Comparison({"fp32": 0.3, "bf16": 0.2}, 1.5))
    train_here(run)
    (chosen,) = events(run, "precision")
    run.events_file.unlink()
    change_run(run, {"epochs": 2})
    monkeypatch.setattr(precision_choice, "compare", lambda *_: pytest.fail("timed again"))
    torch.set_num_threads(2)
    try:
        train_here(run)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)
    (kept,) = events(run, "precision")
    assert (kept["precision"], kept["seconds"], kept["kept"]) == ("bf16", chosen["seconds"], True)


def test_a_directory_that_is_renamed_ends_the_training(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(epochs=3)
    plain = Trainer._evaluate
    moved = RunDirectory(tmp_path / "moved")

    def rename(self: Trainer) -> Any:
        if not moved.path.exists():
            run.path.rename(moved.path)
        return plain(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_evaluate", rename)
        with pytest.raises(GoneError, match="is gone: it was removed or renamed"):
            train_here(run)
    assert not run.path.exists()
    assert train_here(moved) == "finished"


def test_a_clock_that_is_set_back_harms_nothing(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_run("whole")
    train_here(whole)
    run = make_run("run")
    plain = Trainer._evaluate
    clock = time.time

    def set_back(self: Trainer) -> Any:
        monkeypatch.setattr(time, "time", lambda: clock() - 86_400)
        return plain(self)

    monkeypatch.setattr(Trainer, "_evaluate", set_back)
    assert train_here(run) == "finished"
    assert [event["seq"] for event in events(run)] == list(range(len(events(run))))
    assert read_status(run).state == "finished"
    seconds = [event["seconds"] for event in events(run, "epoch")]
    assert seconds == sorted(seconds)
    assert_same_end(run, whole)


def test_it_keeps_its_kernels_and_its_bits(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, whole = make_run("parts", epochs=1), make_run("whole", epochs=2)
    monkeypatch.setenv(VARIABLE, "plain")
    train_here(parts)
    train_here(whole)
    monkeypatch.delenv(VARIABLE)
    change_run(parts, {"epochs": 2})
    train_here(parts)
    assert [event["kernels"] for event in events(parts, "start")] == ["", ""]
    assert_same_end(parts, whole)
    change_run(parts, {"epochs": 3})
    monkeypatch.setenv(VARIABLE, "avx2")
    train_here(parts)
    used = " ".join(sorted(available(kernels_of("avx2"))))
    assert events(parts, "start")[-1]["kernels"] == used
    warning = events(parts, "warning")[-1]["message"]
    assert warning == f"trained with other kernels than before, which round differently: none; {used}"


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return what lets the compiled kernel be unavailable for a reason, or available."""

    def set_reason(reason: str | None) -> None:
        kernel = replace(TABLE["compiled-lrn"], why_unavailable=lambda: reason)
        monkeypatch.setattr(table, "TABLE", {**TABLE, "compiled-lrn": kernel})
        monkeypatch.setattr(session, "TABLE", table.TABLE)

    return set_reason


def test_without_the_compiler_that_it_had_a_run_goes_on(
    make_run: MakeRun, without_compiler: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("run", epochs=1)
    without_compiler(None)
    monkeypatch.setenv(VARIABLE, "avx2")
    train_here(run)
    monkeypatch.delenv(VARIABLE)
    without_compiler("no C compiler is found")
    change_run(run, {"epochs": 2})
    assert train_here(run) == "finished"
    before, now = (event["kernels"] for event in events(run, "start"))
    assert set(before.split()) - set(now.split()) == {"compiled-lrn"}
    warning = events(run, "warning")[-1]["message"]
    assert warning == (
        f"trained with other kernels than before, which round differently: {before}; {now}; no C compiler is found"
    )


def test_ranks_use_the_kernels_that_all_of_them_have(
    make_run: MakeRun, without_compiler: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "avx2")
    without_compiler(None)
    other = frozenset(choose_kernels("cpu") - {"compiled-lrn"})
    monkeypatch.setattr(Ranks, "merge", lambda _, values: {**values, "1": other})
    writer = RunWriter(make_run("run"), 0)
    assert session._kernels(torch.device("cpu"), Ranks(), None, writer) == other


def test_without_a_record_of_kernels_the_machine_chooses() -> None:
    earlier = ComputeSetup("cpu", 1, 2, None, frozenset({"lrn", "fused"}))
    none = History()
    assert earlier_setup({"means": earlier.to_dict()}, none) == earlier
    saved = earlier.to_dict()
    del saved["kernels"]  # as earlier versions wrote it
    assert earlier_setup({"means": saved}, none) == replace(earlier, kernels=None)
