"""Runs that are killed anywhere, in every way, lose nothing and end with the same bits."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from alexplore.network.graph import Network, read_network
from alexplore.runs.directory import RunDirectory
from alexplore.training.checkpoint import read
from tests.faults.kills import VICTIMS, Kill, check_files, kill_at_random, train_to_the_end
from tests.support.networks import SMALL
from tests.support.runs import metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun

KINDS = ("one rank", "two ranks", "image folder", "evaluating", "two ranks")
SEEDS = (*range(42), 62, 68, 71, 103, 122, 136, 144, 161, 181, 188, 191, 241, 346, 456, 461, 531, 563, 599)
"""The last 18 were chosen for what the first draw seldom: ranks and launchers killed by each signal, runs killed while
they start or are evaluated, and resumed runs killed again."""

IN_EVERY_TEST = (3,)
"""Seeds that `make test` runs too."""

EPOCHS = 60
_references: dict[str, RunDirectory] = {}


def pictures(folder: Path) -> Path:
    """Return an image folder of two classes."""
    for part, name, number in product(("train", "val"), ("cat", "dog"), range(20)):
        path = folder / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (14, 14), (10 * number, 40, 90 if name == "cat" else 200)).save(path)
    return folder


@pytest.fixture
def make(make_run: MakeRun, tmp_path: Path, small: Network) -> Callable[[str, str], RunDirectory]:
    """Return what creates a run of a kind; all runs of a kind end with the same bits."""

    def make(kind: str, name: str) -> RunDirectory:
        recipe: dict[str, Any] = {"epochs": EPOCHS, "checkpoint_minutes": 1e-9}
        if kind == "two ranks":
            recipe["gpus"] = 2
        if kind == "evaluating":  # for nine tenths of the time
            recipe |= {"limit_val": 3000, "epochs": 8}
        if kind == "image folder":
            recipe |= {
                "network": read_network({**SMALL, "input": [3, 12, 12]}).with_classes(2),
                "dataset": "imagefolder",
                "folder": str(pictures(tmp_path / "pictures")),
                "limit_train": None,
                "limit_val": None,
                "epochs": 6,
            }
        return make_run(name, **recipe)

    return make


def record_kill(kill: Kill, kind: str, record: Callable[[str, object], None]) -> None:
    """Record the figures of a kill for the summary."""
    moment = "evaluating" if (kind, kill.moment) == ("evaluating", "training") else kill.moment
    record(f"fault: {kill.victim} killed by {kill.number.name}", kill.seconds)
    record(f"fault: killed while {moment}, {kind}", kill.seconds)
    record("fault: no other process left after that", kill.left)
    if kill.reported is not None:
        record(f"fault: right state after the end of a killed {kill.victim}", kill.reported)


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed in IN_EVERY_TEST else [pytest.mark.faults]) for seed in SEEDS],
)
def test_killed_at_random_a_run_ends_with_the_same_bits(
    seed: int, make: Callable[[str, str], RunDirectory], record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    without = {"two ranks": {"decoder"}, "image folder": {"rank"}}.get(kind, {"rank", "decoder"})
    victims = tuple(victim for victim in VICTIMS if victim not in without)
    run = make(kind, f"killed{seed}")
    for _ in range(rng.randint(1, 3)):
        had_checkpoint = (run.checkpoints_folder / "last").is_dir()
        kill = kill_at_random(run, rng, victims)
        check_files(run, had_checkpoint)
        if kill is None:
            break
        record_kill(kill, kind, record_property)
    train_to_the_end(run)
    check_files(run, had_checkpoint=True)
    if kind not in _references:
        _references[kind] = make(kind, "whole")
        if kind == "two ranks":
            train_to_the_end(_references[kind])
        else:
            train_here(_references[kind])
    whole = _references[kind]
    ours, theirs = (read(one.checkpoints_folder / "last").weights for one in (run, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    assert metrics(run) == metrics(whole)
