"""What is found in the curves and the layers of made runs: each rule where it should and where it should not speak."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.presets.library import load_preset
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.diagnosis import RULES, Evidence, diagnose, diagnose_run
from alexplore.runs.inside import inside_file, save_epoch
from alexplore.runs.protocol import EpochEvent
from alexplore.runs.step_time import BOUNDS, StepTime
from alexplore.runs.watch import Watch
from docs.demo_runs import demo_epoch
from tests.support.examples import examples
from tests.support.runs import finished_run

RECIPE = Recipe(lr=0.01, batch_size=64, epochs=3)


def epochs(**metrics: Iterable[float]) -> tuple[EpochEvent, ...]:
    """Return epochs with these values of train_loss, train_acc, val_loss and val_acc."""
    rows = zip(*metrics.values(), strict=True)
    names = [name.replace("_", "/") for name in metrics]
    return tuple(EpochEvent(n, 10 * n, dict(zip(names, row, strict=True))) for n, row in enumerate(rows, 1))


def curve(*losses: float) -> dict[str, Any]:
    """Return a training loss, five values an epoch."""
    return {"losses": list(losses), "positions": [(index + 1) / 5 for index in range(len(losses))]}


LEARNING = Evidence(
    RECIPE,
    layers=("conv2d", "batch_norm", "relu", "linear"),
    classes=10,
    images=60_000,
    **curve(2.3, 1.6, 1.2, 1.0, 0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.42, 0.4, 0.38),
    first_loss=2.31,
    epochs=epochs(
        train_loss=(1.2, 0.6, 0.4), train_acc=(0.6, 0.8, 0.87), val_loss=(0.8, 0.55, 0.45), val_acc=(0.7, 0.8, 0.84)
    ),
    figures={
        "grad_norm": {"conv": 0.1, "fc1": 0.2, "fc2": 0.5},
        "update_ratio": {"conv": 1e-3, "fc1": 2e-3, "fc2": 8e-4},
        "zero_share": {"relu": 0.5},
    },
    dead={"relu": 0.05},
    time=StepTime({"time/backward": 50, "time/forward": 30, "time/input": 12, "time/optimizer": 8}),
)
"""A training in which all is well."""


def found(run: Evidence) -> list[str]:
    return [finding.rule for finding in diagnose(run)]


def test_a_training_in_which_all_is_well() -> None:
    assert found(LEARNING) == []
    assert found(Evidence(RECIPE)) == []


OVERFITTED = epochs(
    train_loss=(1.0, 0.5, 0.2, 0.1),
    train_acc=(0.6, 0.8, 0.95, 0.99),
    val_loss=(0.9, 0.7, 0.76, 0.8),
    val_acc=(0.7,) * 4,
)

CASES: list[tuple[str, Evidence, tuple[str, ...]]] = [
    (
        "not finite",
        replace(LEARNING, reason="step 70: the loss or a gradient is not finite (loss nan)", not_finite=True),
        ("step 70", "0.001"),
    ),
    ("diverging", replace(LEARNING, **curve(2.3, 1.9, 1.7, 2.4, 3.4, 5.1)), ("1.700 at epoch 0.60",)),
    (
        "at chance",
        replace(LEARNING, **curve(2.31, 2.305, 2.303, 2.303, 2.302), epochs=epochs(train_acc=(0.1,), val_acc=(0.1,))),
        ("2.302", "ln(10) = 2.303"),
    ),
    (
        "shuffled labels",
        replace(
            LEARNING,
            epochs=epochs(
                train_loss=(2.2, 1.5, 0.6), train_acc=(0.2, 0.5, 0.8), val_loss=(2.4, 3, 4), val_acc=(0.1, 0.102, 0.098)
            ),
        ),
        ("80.0%", "9.8%", "1/10 = 10.0%"),
    ),
    (
        "exploding gradients",
        replace(LEARNING, figures={"grad_norm": {"conv": 1.0, "fc1": 2500.0, "fc2": 3.0}}),
        ("fc1", "2.5e+03"),
    ),
    (
        "vanishing gradients",
        replace(LEARNING, figures={"grad_norm": {"conv": 1e-6, "fc1": 0.001, "fc2": 0.5}}),
        ("conv's has a norm of 1e-06", "fc2's of 0.5"),
    ),
    ("dead units", replace(LEARNING, dead={"relu": 0.62}), ("62%", "relu")),
    ("dead units", replace(LEARNING, figures={"zero_share": {"relu": 0.995}}, dead={}), ("100%", "relu")),
    ("learning rate too high", replace(LEARNING, figures={"update_ratio": {"conv": 0.2}}), ("0.2", "0.001")),
    ("learning rate too low", replace(LEARNING, figures={"update_ratio": {"conv": 2e-7}}), ("2e-07", "of 0.1")),
    ("first loss", replace(LEARNING, first_loss=9.4, **curve(2.3, 2.1)), ("9.400", "ln(10) = 2.303")),
    ("overfitting", replace(LEARNING, epochs=OVERFITTED), ("epoch 2", "0.700 to 0.800", "0.100")),
    (
        "stalled",
        replace(
            LEARNING,
            epochs=epochs(
                train_loss=(1.0, 0.8, 0.8, 0.799, 0.8, 0.8),
                train_acc=(0.5,) * 6,
                val_loss=(1,) * 6,
                val_acc=(0.45,) * 6,
            ),
        ),
        ("0.800", "4 epochs ago"),
    ),
    (
        "underfitting",
        replace(
            LEARNING,
            epochs=epochs(
                train_loss=(1.5, 1.2, 1.0), train_acc=(0.4, 0.55, 0.6), val_loss=(1, 1, 0.9), val_acc=(0.5, 0.6, 0.65)
            ),
        ),
        ("60.0%", "65.0%", "17%"),
    ),
    ("small batches", replace(LEARNING, recipe=replace(RECIPE, batch_size=4), ranks=2), ("4 images", "32")),
    *(
        (
            name,
            replace(LEARNING, time=StepTime({bound.part: 60, "time/forward": 15, "time/backward": 25})),
            ("60%", "100 ms"),
        )
        for name, bound in BOUNDS.items()
    ),
]


@pytest.mark.parametrize(("rule", "run", "numbers"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_speaks_with_its_number(rule: str, run: Evidence, numbers: tuple[str, ...]) -> None:
    (finding,) = [one for one in diagnose(run) if one.rule == rule]
    for number in numbers:
        assert number in f"{finding.text} → {finding.advice}"
    assert found(run) == [rule]


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)


ANY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, inf, nan, 1e308, -1e308, 5e-324])


@examples(200)
@given(st.lists(ANY, max_size=8), st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=7), st.dictionaries(st.text(), ANY))
def test_any_numbers_can_be_read(
    losses: list[float], rows: list[tuple[float, float, float, float]], figures: dict[str, float]
) -> None:
    keys = ("train/loss", "train/acc", "val/loss", "val/acc")
    events = tuple(EpochEvent(n, n, dict(zip(keys, row, strict=True))) for n, row in enumerate(rows, 1))
    kinds = {"grad_norm": figures, "update_ratio": figures, "zero_share": figures}
    for finding in diagnose(replace(LEARNING, **curve(*losses), epochs=events, figures=kinds, dead=figures)):
        assert finding.text and finding.advice


def test_dead_units_are_those_of_the_file_that_is_there(tmp_path: Path) -> None:
    """A resumed run records its last epoch again, and a new run may have a deleted one's name."""
    preset = load_preset("fmnist-28")
    run = finished_run(RunConfig(preset.name, preset.network, preset.recipe), tmp_path, "run", accuracy=0.5)

    def dead() -> bool:
        return "dead units" in [finding.rule for finding in diagnose_run(Watch(run).poll())]

    epoch = demo_epoch(2, 8)
    all_dead = replace(epoch, activations=tuple(replace(one, dead_share=1.0) for one in epoch.activations))
    save_epoch(run, epoch)
    assert not dead()
    save_epoch(run, all_dead)
    assert dead()
    inside_file(run, 2).write_bytes(b"damaged")
    assert not dead()
    save_epoch(run, all_dead)
    assert dead()
