"""Sweeps: runs of every combination of some values, each with several seeds, started through the queue."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexplore.core.atomic_files import write_atomically
from alexplore.core.formatting import shortened
from alexplore.core.regular_files import read_json
from alexplore.core.settings import SettingError, nearest, toml_text
from alexplore.runs.directory import LONGEST_NAME, RunDirectory, RunError, checked_name, name_after
from alexplore.runs.metrics import BEST_METRIC, METRICS, Metric
from alexplore.runs.queue import Queue
from alexplore.runs.status import REFUSED, WAITING
from alexplore.runs.summary import RunList, Summary

LAST_METRICS = ("val/acc", "val/loss", "train/loss")
"""Metrics of the last epoch that are compared in addition to the best validation accuracy."""

MOST_RUNS = 10_000
MISSING = "missing"
"""The state of a run of a sweep that is neither in the queue nor in the folder of runs."""


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep: the values of the keys that are swept over, and its seed."""

    name: str
    values: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class Sweep:
    """A sweep over `keys` of a recipe; runs with the same values differ only in their seed."""

    name: str
    keys: tuple[str, ...]
    runs: tuple[SweepRun, ...]

    def to_json(self) -> str:
        """Return the text of the sweep's file."""
        runs = [{"name": run.name, "values": dict(run.values), "seed": run.seed} for run in self.runs]
        return json.dumps({"created": round(time.time(), 3), "keys": self.keys, "runs": runs}, indent=1) + "\n"


def split_values(text: str) -> list[str]:
    """Return the values in a list such as `0.003,0.01`; commas inside quotes or brackets don't separate values."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if character == "," and not depth and not quote:
            parts.append("")
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "[{") - (character in "]}")
        parts[-1] += character
    return [part.strip() for part in parts]


def combinations(assignments: Sequence[str], seeds: int = 1) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the keys with several values in `--set` options, and the assignments of every combination.

    Raises:
        SettingError: an assignment has no value, or there would be too many runs with so many `seeds` each.
    """
    choices, keys, total = [], [], seeds
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        values = split_values(text)
        if "" in values:
            raise SettingError(f"--set {assignment!r}: a value is empty; allowed: training.KEY=VALUE,VALUE,…")
        if len(values) > 1:
            keys.append(name.strip().removeprefix("training."))
        total *= len(values)
        choices.append([f"{name}={value}" for value in values])
    if total > MOST_RUNS:
        raise SettingError(f"{shortened(f'{total:,}', 40)} runs; allowed: {MOST_RUNS:,} at most")
    return tuple(keys), list(itertools.product(*choices))


def run_name(sweep: str, number: int, values: Mapping[str, Any], seed: int | None) -> str:
    """Return the name of a run of a sweep: `night-lr=0.01-seed=2`, or one with its number if that is too long."""
    parts = [f"{key}={toml_text(value).strip(chr(34))}" for key, value in values.items()]
    if seed is not None:
        parts.append(f"seed={seed}")
    name = "-".join((sweep, *(parts or [str(number)]))).replace("/", "_")
    return name if len(name.encode()) <= LONGEST_NAME and name.isprintable() else name_after(sweep, str(number))


def sweep_file(queue: Queue, name: str) -> Path:
    """Return the file of the sweep with a name.

    Raises:
        RunError: the name is not allowed.
    """
    return queue.folder / "sweeps" / f"{checked_name(name)}.json"


def write_sweep(queue: Queue, sweep: Sweep) -> None:
    """Write the file of a new sweep.

    Raises:
        RunError: there is a sweep with that name, or the folder can't be written.
    """
    path = sweep_file(queue, sweep.name)
    with queue.locked():
        if path.exists():
            raise RunError(f"there is a sweep {sweep.name!r} already; choose another --name")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, sweep.to_json())


def list_sweeps(queue: Queue) -> list[str]:
    """Return the names of the sweeps in a folder of runs, sorted."""
    try:
        return sorted(path.stem for path in (queue.folder / "sweeps").iterdir() if path.suffix == ".json")
    except OSError:
        return []


def free_sweep_name(queue: Queue, preset: str) -> str:
    """Return the first of `<preset>-sweep-1`, `<preset>-sweep-2`, … that is not taken."""
    taken = set(list_sweeps(queue))
    numbers = itertools.count(1)
    return next(name for number in numbers if (name := name_after(preset, f"sweep-{number}")) not in taken)


def read_sweep(queue: Queue, name: str) -> Sweep:
    """Return the sweep with a name.

    Raises:
        RunError: there is no such sweep, or its file is damaged.
    """
    path = sweep_file(queue, name)
    values = read_json(path, links=False)
    if values is None:
        if path.exists():
            raise RunError(f"{path}: damaged", failure=True)
        known = list_sweeps(queue)
        there = f"Sweeps: {', '.join(known[:5])}" if known else "There are no sweeps yet"
        raise RunError(f"no sweep {name!r}{nearest(name, known)} {there}")
    try:
        runs = tuple(
            SweepRun(checked_name(run["name"]), dict(run["values"]), int(run["seed"])) for run in values["runs"]
        )
        return Sweep(name, tuple(map(str, values["keys"])), runs)
    except (KeyError, TypeError, ValueError, AttributeError, RunError):
        raise RunError(f"{path}: damaged", failure=True) from None


@dataclass(frozen=True)
class Statistic:
    """The mean of a metric over some runs, and its standard deviation (with n − 1), None for a single run."""

    mean: float
    deviation: float | None
    count: int

    def text(self, metric: Metric) -> str:
        """Return `93.1% ± 0.2%`."""
        spread = "" if self.deviation is None else f" ± {metric.number(self.deviation)}"
        return metric.number(self.mean) + spread


def statistic(values: Sequence[float]) -> Statistic | None:
    """Return the mean and the standard deviation of some values; None if there are none."""
    if not values:
        return None
    return Statistic(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class SweepResult:
    """The runs of a sweep that differ only in their seed: their states, and statistics over those that are finished.

    `summaries` has None for a run that has not started, or was removed.
    """

    values: Mapping[str, Any]
    runs: tuple[SweepRun, ...]
    states: tuple[str, ...]
    summaries: tuple[Summary | None, ...]

    @property
    def finished(self) -> list[Summary]:
        """The runs that have trained all epochs."""
        return [one for one in self.summaries if one is not None and one.status.state == "finished"]

    @property
    def best(self) -> Statistic | None:
        """The highest validation accuracy of each run."""
        return statistic([one.best for one in self.finished if one.best is not None])

    def last(self, key: str) -> Statistic | None:
        """A metric of the last epoch of each run."""
        return statistic(
            [
                one.last_epoch.metrics[key]
                for one in self.finished
                if one.last_epoch is not None and key in one.last_epoch.metrics
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""

        def numbers(found: Statistic | None) -> dict[str, Any] | None:
            return None if found is None else {"mean": found.mean, "std": found.deviation, "n": found.count}

        runs = [
            {"run": run.name, "seed": run.seed, "state": state, "best": None if one is None else one.best}
            for run, state, one in zip(self.runs, self.states, self.summaries, strict=True)
        ]
        last = {key: numbers(self.last(key)) for key in LAST_METRICS}
        return {"values": dict(self.values), "runs": runs, f"best {BEST_METRIC}": numbers(self.best), **last}


def sweep_results(queue: Queue, sweep: Sweep) -> list[SweepResult]:
    """Return the current results of a sweep, one for each combination of values, in their order."""
    waiting = {item.name for item in (*queue.waiting(), *queue.running())}
    refused = {item.name for item in queue.refused()}
    directories = [RunDirectory(queue.runs / run.name) for run in sweep.runs]
    there = [directory for directory in directories if directory.has_files]
    summaries = {one.run.name: one for one in RunList().summarise(there)}

    def state(name: str) -> str:
        if name in summaries:
            return summaries[name].status.state
        return WAITING if name in waiting else REFUSED if name in refused else MISSING

    rows: dict[str, list[SweepRun]] = {}
    for run in sweep.runs:
        rows.setdefault(json.dumps(run.values, sort_keys=True), []).append(run)
    return [
        SweepResult(
            runs[0].values,
            tuple(runs),
            tuple(state(run.name) for run in runs),
            tuple(summaries.get(run.name) for run in runs),
        )
        for runs in rows.values()
    ]


def result_cells(result: SweepResult, keys: Sequence[str]) -> list[str]:
    """Return the cells of a result's row in a table with `result_headings`."""
    counts = {state: result.states.count(state) for state in dict.fromkeys(result.states)}
    progress = ", ".join(f"{count} {state}" for state, count in counts.items())
    found = {BEST_METRIC: result.best, **{key: result.last(key) for key in LAST_METRICS[1:]}}
    numbers = ["–" if one is None else one.text(METRICS[key]) for key, one in found.items()]
    return [*(toml_text(result.values.get(key)) for key in keys), progress, *numbers]


def result_headings(keys: Sequence[str]) -> list[str]:
    """Return the headings of the columns of `result_cells`."""
    return [*keys, "runs", f"best {METRICS[BEST_METRIC].heading}", *(METRICS[key].title for key in LAST_METRICS[1:])]
