"""Sweeps: the combinations, the names of the runs, and the table of results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.core.settings import SettingError
from alexplore.network.graph import read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs import queue_runner
from alexplore.runs.compare import differ_only_in_seed
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunError
from alexplore.runs.queue import Queue
from alexplore.runs.sweeps import (
    combinations,
    free_sweep_name,
    read_sweep,
    run_name,
    split_values,
    statistic,
    sweep_file,
    sweep_results,
)
from tests.support.command_line import run_here
from tests.support.networks import SMALL
from tests.support.runs import finished_run

CONFIG = RunConfig("small", read_network(SMALL), Recipe(dataset="synthetic"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1", ["0.1"]),
        ("0.003, 0.01,0.03", ["0.003", "0.01", "0.03"]),
        ("sgd,adam", ["sgd", "adam"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ("1,", ["1", ""]),
    ],
)
def test_values(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_every_combination_comes_once() -> None:
    keys, chosen = combinations(["training.lr=0.1,0.2", "training.epochs=3", "training.optimizer=sgd,adam"])
    assert keys == ("lr", "optimizer")
    assert chosen == [
        (f"training.lr={rate}", "training.epochs=3", f"training.optimizer={name}")
        for rate in ("0.1", "0.2")
        for name in ("sgd", "adam")
    ]
    with pytest.raises(SettingError, match="a value is empty"):
        combinations(["training.lr=0.1,"])
    with pytest.raises(SettingError, match="allowed: 10,000 at most"):
        combinations([f"training.lr={','.join(map(str, range(1, 200)))}"] * 2)
    with pytest.raises(SettingError, match="runs; allowed: 10,000 at most"):
        combinations([], 10**100)


def test_names_of_runs() -> None:
    assert run_name("night", 1, {"lr": 0.003, "optimizer": "sgd"}, 2) == "night-lr=0.003-optimizer=sgd-seed=2"
    assert run_name("night", 7, {}, None) == "night-7"
    assert run_name("night", 7, {"weights": "/a/" + "b" * 300}, 0) == "night-7"


def sweep(runs: Path, *options: str) -> tuple[int, str]:
    done = run_here("sweep", "--preset", "fmnist-28", "--dataset", "synthetic", *options, ALEXPLORE_RUNS=str(runs))
    return done.returncode, done.stderr


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """Return the queue of an empty folder, which no process works on."""
    monkeypatch.setattr("alexplore.cli.sweep.start_runner", lambda _: None)
    monkeypatch.setattr(queue_runner, "start_runner", lambda _: None)
    return Queue(tmp_path / "runs")


def test_a_sweep_is_queued_with_its_seeds(queue: Queue) -> None:
    code, told = sweep(
        queue.runs, "--set", "training.lr=0.1,0.2", "--set", "training.seed=5", "--seeds", "3", "--name", "night"
    )
    assert code == 0, told
    waiting = queue.waiting()
    assert [(item.config.recipe.lr, item.config.recipe.seed) for item in waiting] == [
        (0.1, 5), (0.1, 6), (0.1, 7), (0.2, 5), (0.2, 6), (0.2, 7),
    ]  # fmt: skip
    assert [item.name for item in waiting][:2] == ["night-lr=0.1-seed=5", "night-lr=0.1-seed=6"]
    assert differ_only_in_seed(waiting[0].config, waiting[2].config)  # the overlay draws their band
    assert [run.name for run in read_sweep(queue, "night").runs] == [item.name for item in waiting]
    assert free_sweep_name(queue, "night") == "night-sweep-1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "training.lr=0.1,-1"), "lr: found -1"),
        (("--set", "training.lrr=1,2"), "did you mean lr"),
        (("--name", "night"), "there is a sweep 'night' already"),
        (("--name", "../x"), "allowed: a file name"),
    ],
)
def test_what_is_wrong_queues_nothing(queue: Queue, options: tuple[str, ...], message: str) -> None:
    sweep_file(queue, "night").parent.mkdir(parents=True)
    sweep_file(queue, "night").write_text("{}")
    code, told = sweep(queue.runs, *options)
    assert (code, queue.waiting()) == (2, [])
    assert message in told


def test_a_sweep_of_the_same_name_that_another_command_makes_meanwhile_is_kept(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, locked = sweep_file(queue, "night"), Queue.locked

    @contextmanager
    def waited_for(of: Queue) -> Iterator[None]:
        """Hold the lock, which another command held before that has made the sweep."""
        with locked(of):
            if not file.exists():
                file.parent.mkdir(parents=True)
                file.write_text("{}")
            yield

    monkeypatch.setattr(Queue, "locked", waited_for)
    code, told = sweep(queue.runs, "--name", "night")
    assert (code, queue.waiting(), file.read_text()) == (2, [], "{}")
    assert "there is a sweep 'night' already" in told


def test_results_are_means_over_seeds(queue: Queue) -> None:
    sweep(queue.runs, "--set", "training.lr=0.1,0.2", "--seeds", "3", "--name", "night")
    found = read_sweep(queue, "night")
    accuracies = {0: 0.5, 1: 0.75, 3: 0.625}
    for index, accuracy in accuracies.items():
        config = replace(CONFIG, recipe=replace(CONFIG.recipe, seed=found.runs[index].seed))
        finished_run(config, queue.runs, found.runs[index].name, accuracy)
        queue.remove(found.runs[index].name)
    queue.remove(found.runs[5].name)
    first, second = sweep_results(queue, found)
    assert first.states == ("finished", "finished", "waiting")
    assert second.states == ("finished", "waiting", "missing")
    assert first.best is not None
    assert (first.best.mean, first.best.deviation, first.best.count) == (0.625, statistics.stdev([0.5, 0.75]), 2)
    assert second.best is not None
    assert second.best.deviation is None
    shown = run_here("sweep", "show", "night", ALEXPLORE_RUNS=str(queue.runs)).stdout
    assert "0.1 2 finished, 1 waiting 62.5% ± 17.7%" in " ".join(shown.split())
    as_json = json.loads(run_here("sweep", "show", "night", "--json", ALEXPLORE_RUNS=str(queue.runs)).stdout)
    assert as_json["rows"][0]["best val/acc"] == {"mean": 0.625, "std": pytest.approx(0.1767767), "n": 2}
    assert as_json["rows"][1]["values"] == {"lr": 0.2}


def test_no_values_have_no_mean() -> None:
    assert statistic([]) is None


@pytest.mark.parametrize("text", ["", "{}", '{"keys": ["lr"], "runs": [{"name": "../x", "values": {}, "seed": 1}]}'])
def test_a_damaged_sweep_is_named(queue: Queue, text: str) -> None:
    sweep_file(queue, "night").parent.mkdir(parents=True)
    sweep_file(queue, "night").write_text(text)
    with pytest.raises(RunError, match=r"night\.json: damaged"):
        read_sweep(queue, "night")
    with pytest.raises(RunError, match="no sweep 'nigth'; did you mean night"):
        read_sweep(queue, "nigth")


def test_the_queue_on_the_command_line(queue: Queue) -> None:
    here = str(queue.runs)
    added = run_here(
        "train", "--preset", "fmnist-28", "--dataset", "synthetic", "--queue", "--name", "a", ALEXPLORE_RUNS=here
    )
    assert (added.returncode, added.stdout) == (0, "a\n")
    run_here("train", "--preset", "fmnist-28", "--dataset", "synthetic", "--queue", "--name", "b", ALEXPLORE_RUNS=here)
    assert "b has place 1 of 2" in run_here("queue", "move", "b", "1", ALEXPLORE_RUNS=here).stderr
    listed = run_here("queue", "list", ALEXPLORE_RUNS=here)
    assert [line.split() for line in listed.stdout.splitlines() if "waiting" in line] == [
        ["1", "b", "waiting"], ["2", "a", "waiting"],
    ]  # fmt: skip
    assert "start one with: alexplore queue start" in listed.stderr
    run_here("queue", "pause", ALEXPLORE_RUNS=here)
    as_json = json.loads(run_here("queue", "list", "--json", ALEXPLORE_RUNS=here).stdout)
    assert (as_json["paused"], as_json["runner"], [one["run"] for one in as_json["waiting"]]) == (
        True,
        False,
        ["b", "a"],
    )
    assert run_here("queue", "remove", "a", "b", ALEXPLORE_RUNS=here).returncode == 0
    assert "the queue is empty" in run_here("queue", "list", ALEXPLORE_RUNS=here).stderr


def test_values_that_are_the_same_leave_nothing_behind(queue: Queue) -> None:
    options = ("--preset", "fmnist-28", "--dataset", "synthetic", "--name", "night", "--set")
    refused = run_here("sweep", *options, "training.lr=0.01,1e-2", ALEXPLORE_RUNS=str(queue.runs))
    assert refused.returncode == 2
    assert "two runs would be the same, night-lr=0.01: give each value of --set once" in refused.stderr
    assert queue.waiting() == []
    assert not sweep_file(queue, "night").exists()


def test_a_name_that_waits_in_the_queue_leaves_nothing_behind(queue: Queue) -> None:
    queue.add(CONFIG, "night-lr=0.02")
    options = ("--preset", "fmnist-28", "--dataset", "synthetic", "--name", "night", "--set")
    refused = run_here("sweep", *options, "training.lr=0.01,0.02", ALEXPLORE_RUNS=str(queue.runs))
    assert refused.returncode == 2
    assert "'night-lr=0.02' already" in refused.stderr
    assert len(queue.waiting()) == 1
    assert not sweep_file(queue, "night").exists()
