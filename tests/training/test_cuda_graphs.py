"""Captured steps, with a stand-in for CUDA graphs that computes again what was captured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from alexplore.runs.kernel_choice import PROCESSORS
from alexplore.training import checkpoint, loop
from alexplore.training.cuda_graphs import MOST, WARM_UP, CapturedWork, Results, make_capture
from alexplore.training.inside import recorder as appearance_user
from alexplore.training.kernels.table import NONE, kernels_of
from tests.support.runs import metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun


class Repeated:
    """Captures work as a CUDA graph does: what it reads later is what is in its inputs' memory then."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self, work: Callable[[], Results]) -> tuple[Results, Callable[[], object]]:
        self.captured += 1
        results = tuple(value.clone() for value in work())
        computed = True

        def replay() -> None:
            nonlocal computed
            self.replayed += 1
            if not computed:  # capturing computed the first one
                for kept, value in zip(results, work(), strict=True):
                    kept.copy_(value)
            computed = False

        return results, replay


def test_work_is_captured_after_some_runs_and_reads_its_inputs_anew() -> None:
    capture, calls = Repeated(), []
    captured = CapturedWork(capture)

    def work(one: Tensor, other: Tensor) -> Results:
        calls.append(one)
        return (one * 2 + other,)

    for number in range(WARM_UP + 4):
        one, other = torch.full((3,), float(number)), torch.arange(3.0)
        assert torch.equal(captured.run("kind", work, one, other)[0], 2 * one + other)
        assert capture.captured == (number >= WARM_UP)
    assert capture.replayed == 4


@pytest.mark.parametrize("changed", ["kind", "shape", "dtype", "strides"])
def test_other_work_is_captured_by_itself(changed: str) -> None:
    capture = Repeated()
    captured = CapturedWork(capture)
    square = torch.arange(4.0).view(2, 2)
    others = {"kind": square, "shape": square[:1], "dtype": square.int(), "strides": square.t()}
    for _ in range(WARM_UP + 2):
        assert torch.equal(captured.run("one", lambda value: (value + 1,), square)[0], square + 1)
        kind, value = "other" if changed == "kind" else "one", others[changed]
        assert torch.equal(captured.run(kind, lambda value: (value + 1,), value)[0], value + 1)
    assert capture.captured == 2
    assert capture.replayed == 4


def test_no_more_kinds_are_captured_than_memory_is_kept_for() -> None:
    capture = Repeated()
    captured = CapturedWork(capture)
    for _ in range(WARM_UP + 3):
        for kind in range(MOST + 2):
            assert captured.run(kind, lambda value: (value + 1,), torch.ones(2))[0].tolist() == [2, 2]
    assert capture.captured == MOST


def test_without_memory_for_a_graph_work_is_done_without() -> None:
    def capture(_: Callable[[], Results]) -> tuple[Results, Callable[[], object]]:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate …")

    reasons: list[str] = []
    captured = CapturedWork(capture, reasons.append)
    for _ in range(WARM_UP + 3):
        assert captured.run("kind", lambda value: (value + 1,), torch.ones(2))[0].tolist() == [2, 2]
    assert reasons == ["CUDA out of memory."]
    assert not captured.active


def test_without_memory_beside_the_graphs_they_are_given_up() -> None:
    reasons: list[str] = []
    captured = CapturedWork(Repeated(), reasons.append)
    for _ in range(WARM_UP + 1):
        captured.run("kind", lambda value: (value + 1,), torch.ones(2))
    assert captured.kinds == 1

    def large(value: Tensor) -> Results:
        if captured.kinds:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate …")
        return (value + 2,)

    assert captured.run("another", large, torch.ones(2))[0].tolist() == [3, 3]
    assert reasons == ["CUDA out of memory."]
    assert not captured.active


def test_without_memory_for_work_alone_it_fails() -> None:
    def large(_: Tensor) -> Results:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        CapturedWork(Repeated()).run("kind", large, torch.ones(2))


def test_only_a_gpu_of_its_own_captures() -> None:
    cuda = torch.device("cuda")
    gpu = kernels_of("gpu")
    assert make_capture(torch.device("cpu"), 1, gpu) is None
    assert make_capture(cuda, 2, gpu) is None
    assert make_capture(cuda, 1, NONE) is None
    assert not any("graphs" in kernels_of(processor) for processor in PROCESSORS if processor != "gpu")


@pytest.mark.parametrize(
    "recipe",
    [
        {"color_noise": 0.1, "class_weights": [1, 2, 1, 1, 3, 1, 1, 1, 0.5, 1], "clip_grad_norm": 1.0},
        {"precision": "fp16", "micro_batch_size": 5, "ema_decay": 0.9, "optimizer": "sgd", "schedule": "cosine"},
        {"horizontal_flip": False, "random_crop": False, "crop_padding": 0},
    ],
    ids=["augmented", "scaled", "plain"],
)
def test_captured_steps_take_the_same_steps(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, recipe: dict[str, object]
) -> None:
    runs = [make_run(name, epochs=4, **recipe) for name in ("plain", "captured")]
    train_here(runs[0])
    capture = Repeated()
    monkeypatch.setattr(loop, "make_capture", lambda *_: capture)
    train_here(runs[1])
    assert capture.captured >= 2
    assert capture.replayed >= 6
    assert metrics(runs[0]) == metrics(runs[1])
    ours, theirs = (checkpoint.read(run.checkpoints_folder / "last").weights for run in runs)
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def test_other_work_that_has_no_memory_beside_the_graphs_is_done_without_them() -> None:
    """An evaluation can't use the memory that the graphs keep."""
    captured = CapturedWork(Repeated())
    for _ in range(WARM_UP + 1):
        captured.run("kind", lambda value: (value + 1,), torch.ones(2))

    def large() -> str:
        if captured.kinds:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    assert captured.beside(large) == "done"
    assert not captured.active
    with pytest.raises(ValueError, match="wrong"):
        captured.beside(lambda: int("wrong"))


@pytest.mark.parametrize("short", ["evaluate", "estimate_statistics", "look_at"])
def test_between_epochs_graphs_that_leave_no_memory_are_given_up(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, short: str
) -> None:
    """What is measured then has the same values as without graphs, though it was begun twice."""
    recipe: dict[str, Any] = {"epochs": 4, "swa_epochs": 2} if short == "estimate_statistics" else {"epochs": 2}
    module = appearance_user if short == "look_at" else loop
    runs = [make_run(name, **recipe) for name in ("plain", "captured")]
    train_here(runs[0])
    original = getattr(module, short)
    failures: list[int] = []

    def without_memory(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        if not failures:
            failures.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return result

    monkeypatch.setattr(module, short, without_memory)
    monkeypatch.setattr(loop, "make_capture", lambda *_: Repeated())
    assert train_here(runs[1]) == "finished"
    assert failures
    assert "steps are not captured as CUDA graphs" in runs[1].events_file.read_text()
    assert metrics(runs[0]) == metrics(runs[1])
    kept = [{path.name: path.read_bytes() for path in run.inside_folder.iterdir()} for run in runs]
    assert kept[0] == kept[1]
