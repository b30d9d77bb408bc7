"""When a training ends because it gets no better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from alexplore.presets.recipe import Recipe
from alexplore.training.checkpoint import read_manifest
from alexplore.training.early_stopping import is_better, why_stopped
from alexplore.training.evaluate import EpochResult
from alexplore.training.loop import Trainer
from alexplore.training.parallel.ranks import Ranks
from tests.support.runs import change_run, events
from tests.support.training import train_here
from tests.training.conftest import MakeRun


def test_better_is_higher_accuracy_and_lower_loss() -> None:
    accuracy, loss = Recipe(monitor="val/acc"), Recipe(monitor="val/loss")
    assert is_better(accuracy, 0.6, 0.5)
    assert not is_better(accuracy, 0.5, 0.5)
    assert is_better(loss, 0.4, 0.5)
    assert not is_better(loss, 0.5, 0.5)
    assert is_better(loss, 9.0, None)
    assert not is_better(loss, float("nan"), 0.5)


def test_a_training_without_early_stopping_goes_on() -> None:
    assert why_stopped(Recipe(), 1000, 0.5) is None


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Return a list for the losses and accuracies that the epochs are to end with."""
    values: list[tuple[float, float]] = []

    def evaluate(_: Trainer) -> Any:
        loss, accuracy = values.pop(0)
        return EpochResult(1000 * loss, round(1000 * accuracy), 1000, 1000)

    monkeypatch.setattr(Trainer, "_evaluate", evaluate)
    return values


EPOCHS = [(0.9, 0.5), (0.8, 0.6), (0.7, 0.55), (0.95, 0.6), (0.9, 0.7), (0.9, 0.1)]
"""Loss and accuracy: the accuracy does not rise in the third and fourth epoch, the loss falls until the third."""


@pytest.mark.parametrize(
    ("monitor", "patience", "ended", "best", "reason"),
    [
        ("val/acc", 2, 4, 2, "stopped early: no better validation accuracy than 60.0% for 2 epochs"),
        ("val/acc", 1, 3, 2, "stopped early: no better validation accuracy than 60.0% for 1 epoch"),
        ("val/loss", 2, 5, 3, "stopped early: no better validation loss than 0.700 for 2 epochs"),
        ("val/acc", 3, 6, 5, None),
    ],
)
def test_it_ends_and_keeps_the_best_weights(
    make_run: MakeRun,
    evaluations: list[tuple[float, float]],
    monitor: str,
    patience: int,
    ended: int,
    best: int,
    reason: str | None,
) -> None:
    evaluations += EPOCHS
    run = make_run(epochs=6, monitor=monitor, early_stopping=patience)
    assert train_here(run) == "finished"
    assert [event["epoch"] for event in events(run, "epoch")] == list(range(1, ended + 1))
    assert events(run, "end")[-1].get("reason") == reason
    assert read_manifest(run.checkpoints_folder / "best")["epoch"] == best
    assert read_manifest(run.checkpoints_folder / "last")["epoch"] == ended


def test_a_resumed_run_goes_on_with_more_patience_only(
    make_run: MakeRun, evaluations: list[tuple[float, float]]
) -> None:
    evaluations += EPOCHS
    run = make_run(epochs=6, early_stopping=2)
    train_here(run)
    assert train_here(run) == "finished"
    assert len(events(run, "epoch")) == 4
    assert events(run, "end")[-1]["reason"] == events(run, "end")[0]["reason"]
    change_run(run, {"early_stopping": 3})
    assert train_here(run) == "finished"
    assert len(events(run, "epoch")) == 6


def test_a_best_checkpoint_that_the_first_rank_could_not_save_is_the_best_on_no_rank(
    make_run: MakeRun, evaluations: list[tuple[float, float]]
) -> None:
    """Else ranks would stop in different epochs, and wait for each other."""
    evaluations += EPOCHS
    from_the_first = iter([None, None, "no checkpoint at step 8: the disk is full", None, None, None, None])

    @dataclass(frozen=True)
    class Another(Ranks):
        def broadcast(self, value: Any) -> Any:
            return next(from_the_first)

    run = make_run(epochs=6, early_stopping=1)
    assert train_here(run, Another()) == "finished"
    assert len(events(run, "epoch")) == 6
    assert next(from_the_first, "none is left") == "none is left"
