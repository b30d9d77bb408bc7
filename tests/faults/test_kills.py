"""Runs that are killed anywhere, in every way, lose nothing and end with the same bits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from alexplore.network.graph import read_network
from alexplore.runs.directory import RunDirectory
from alexplore.training.checkpoint import read
from tests.faults.kill_plan import PHASES, SIGNALS, Start, planned_runs
from tests.faults.kills import SLOW, Kill, Started, check_files, train_to_the_end
from tests.support.networks import SMALL
from tests.support.runs import metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun

SEED = 11
RUNS = planned_runs(SEED)
EPOCHS = 12
ATTEMPTS = 5
"""How often a run is made anew that finished before it was killed, as one may while the machine is busy."""

IN_EVERY_TEST = next(number for number, (first, then) in enumerate(RUNS) if first.ranks == 1 and then.by_app)
"""The run that `make test` kills, too."""

_references: dict[tuple[int, bool], RunDirectory] = {}

Make = Callable[[Start, str], RunDirectory]


def pictures(folder: Path) -> Path:
    """Return an image folder of two classes."""
    for part, name, number in product(("train", "val"), ("cat", "dog"), range(60)):
        path = folder / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (14, 14), (4 * number, 40, 90 if name == "cat" else 200)).save(path)
    return folder


@pytest.fixture
def make(make_run: MakeRun, tmp_path: Path) -> Make:
    """Return what creates a run that can be started as planned; runs with as many ranks end with the same bits."""

    def make(start: Start, name: str) -> RunDirectory:
        recipe: dict[str, Any] = {**SLOW, "epochs": EPOCHS, "gpus": start.ranks}
        if start.pictures:
            recipe |= {
                "network": read_network({**SMALL, "input": [3, 12, 12]}).with_classes(2),
                "dataset": "imagefolder",
                "folder": str(pictures(tmp_path / "pictures")),
                "limit_train": None,
                "limit_val": None,
                "batch_size": 4,
            }
        return make_run(name, **recipe)

    return make


def record_kill(kill: Kill, record: Callable[[str, object], None]) -> None:
    """Record the figures of a kill for the summary."""
    start = kill.start
    ranks = "image folder" if start.pictures else "two ranks" if start.ranks == 2 else "one rank"
    record(f"fault: {kill.victim} killed by {kill.number.name}, {ranks}", kill.left)
    record(f"fault: killed while {start.phase}, {'resumed' if start.resumed else 'new'}, {ranks}", kill.left)
    if kill.reported is not None:
        record(f"fault: right state after a killed {kill.victim} has ended, {ranks}", kill.reported)


def kill_as_planned(make: Make, starts: tuple[Start, ...], name: str) -> tuple[RunDirectory, list[Kill]]:
    """Return a run that was killed as planned, and the kills; one more each time that a run finishes too early."""
    made: list[Kill] = []
    for attempt in range(ATTEMPTS):
        run = make(starts[0], f"{name}-{attempt}")
        rng = random.Random(name)
        done = 0
        for start in starts:
            had_checkpoint = (run.checkpoints_folder / "last").is_dir()
            with ExitStack() as stack:
                kills = list(Started(run, start, rng, stack).kills())
            check_files(run, had_checkpoint)
            made.extend(kills)
            done += len(kills)
            if len(kills) < len(start.kills):
                break
        if done == sum(len(start.kills) for start in starts):
            return run, made
    pytest.fail(f"{ATTEMPTS} runs finished before they could be killed: {[str(start) for start in starts]}")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            number,
            id=f"{first.ranks} {'pictures' if first.pictures else 'ranks'}, {first}; {then}",
            marks=[] if number == IN_EVERY_TEST else [pytest.mark.faults],
        )
        for number, (first, then) in enumerate(RUNS)
    ],
)
def test_killed_and_killed_again_a_run_ends_with_the_same_bits(
    number: int, make: Make, record_property: Callable[[str, object], None]
) -> None:
    starts = RUNS[number]
    run, kills = kill_as_planned(make, starts, f"killed{number}")
    for kill in kills:
        record_kill(kill, record_property)
    train_to_the_end(run)
    check_files(run, had_checkpoint=True)
    kind = starts[0].ranks, starts[0].pictures
    if kind not in _references:
        _references[kind] = make(starts[0], "whole")
        if starts[0].ranks == 2:
            train_to_the_end(_references[kind])
        else:
            train_here(_references[kind])
    whole = _references[kind]
    ours, theirs = (read(one.checkpoints_folder / "last").weights for one in (run, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    assert metrics(run) == metrics(whole)


def test_the_plan_has_each_combination_once() -> None:
    planned = Counter(
        (start.ranks, start.phase, start.resumed, victim, signal)
        for run in RUNS
        for start in run
        if not start.pictures
        for victim, signal in start.kills
    )
    alone = product((1,), PHASES, (False, True), ("worker", "follower", "app"), SIGNALS)
    several = product((2,), PHASES, (False, True), ("worker", "rank", "follower", "app"), SIGNALS)
    assert planned == Counter((*alone, *several))
    assert {first.resumed for first, _ in RUNS} == {False}
