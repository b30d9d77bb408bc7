"""Choosing runs by words and comparisons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.filter import FIELDS, FilterError, parse_filter
from alexplore.runs.listing import ListedRun
from alexplore.runs.protocol import EpochEvent
from alexplore.runs.status import Status
from alexplore.runs.summary import Summary


@pytest.fixture
def runs(config: RunConfig) -> list[ListedRun]:
    """Four runs: alpha and beta are finished, gamma has failed at once, delta has a config that can't be read."""

    def listed(name: str, state: str, lr: float, best: float | None, note: str = "") -> ListedRun:
        changed = replace(
            config, preset="fmnist-28" if name == "alpha" else "paper", recipe=replace(config.recipe, lr=lr)
        )
        best_epoch = None if best is None else EpochEvent(1, 4, {"val/acc": best})
        latest = {"train/loss": 1 / lr}
        summary = Summary(RunDirectory(Path(name)), Status(state, epoch=1.0), changed, latest, best_epoch)
        return ListedRun(summary, ("conv1",) if name == "beta" else (), note)

    return [
        listed("alpha", "finished", 0.01, 0.91, "the good one"),
        listed("beta", "finished", 0.1, 0.87),
        listed("gamma", "failed", 0.001, None),
        ListedRun(Summary(RunDirectory(Path("delta")), Status("crashed"), None)),
    ]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", "alpha beta gamma delta"),
        ("ALPHA", "alpha"),
        ("paper conv1", "beta"),
        ("good", "alpha"),
        ("!finished", "gamma delta"),
        ("state:failed", "gamma"),
        ("!state:failed", "alpha beta delta"),
        ("state=fail", ""),
        ("lr>=0.01", "alpha beta"),
        ("lr<0.01", "gamma"),
        ("lr=1e-3", "gamma"),
        ("lr!=0.1", "alpha gamma delta"),
        ("best>0.9", "alpha"),
        ("best>90%", "alpha"),
        ("best<=87%", "beta"),
        ("network:fmnist", "alpha"),
        ("preset=PAPER state=finished", "beta"),
        ('note:"good one"', "alpha"),
        ('note:"good', "alpha"),  # not closed yet
        ("horizontal_flip:false", "alpha beta gamma"),
        ("limit_train=512", "alpha beta gamma"),
        ("lr>=", "alpha beta gamma delta"),  # not typed yet
        ("loss<=10", "beta"),
        ("age<1d", "alpha beta gamma delta"),
        ("optimizer:adam epoch=1", "alpha beta gamma"),
    ],
)
def test_what_a_filter_chooses(runs: list[ListedRun], text: str, chosen: str) -> None:
    chosen_by = parse_filter(text)
    assert " ".join(run.name for run in runs if chosen_by.matches(run)) == chosen


@pytest.mark.parametrize(
    ("text", "said"),
    [("optimiser:adam", "did you mean optimizer"), ("lr>abc", "a number belongs after >"), ("lr>1.2.3", "a number")],
)
def test_what_can_not_be_used_is_told(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        parse_filter(text)


def test_every_field_can_be_asked_of_every_run(runs: list[ListedRun]) -> None:
    for key in FIELDS:
        for sign in (":x", ">=1", "=1", "!=1"):
            for run in runs:
                parse_filter(f"{key}{sign}").matches(run)
