"""Check a planned run before it starts: whether it can be trained, where its data is, memory and time.

`check` reads the disk and the earlier runs, so screens call it in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alexplore.core.boundary import error_text
from alexplore.core.errors import AlexploreError
from alexplore.core.formatting import age_text, bytes_text
from alexplore.core.home import NoHomeError, home_path
from alexplore.network.graph import Network
from alexplore.network.shapes import shape_text
from alexplore.presets.datasets import DATASETS
from alexplore.runs import service
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.data.dataset_shapes import (
    cache_folder,
    dataset_need,
    dataset_shape,
    folder_of,
    image_counts,
)
from alexplore.runs.directory import RunError, RunNameError, list_runs, new_run
from alexplore.runs.estimate import (
    PROCESS_BYTES,
    Speed,
    cpu_memory,
    cpu_ranks,
    epoch_seconds,
    expected_speed,
    may_use_gpu,
    memory_problems,
)
from alexplore.runs.launch import WaitingWorker
from alexplore.runs.preflight import Fix, Problem, count_outputs
from alexplore.runs.summary import RunList, Summary
from alexplore.tui.folders import classes_text, contents_text

State = Literal["ok", "wrong", "note"]
EARLIER_SECONDS = 10.0  # earlier runs are read again after this time
GLYPHS: Mapping[State, str] = {"ok": "✓", "wrong": "✗", "note": "·"}


@dataclass(frozen=True)
class Check:
    """The result of one check: its state, what it is about, and a sentence.

    A result that is wrong prevents the start; `setting` is then the setting at fault, and `fix` removes the problem.
    """

    state: State
    title: str
    text: str
    setting: str = ""
    fix: Fix | None = None


@dataclass(frozen=True)
class CheckRequest:
    """A run to check, and its folder of runs. If `name` is None, the run gets a free name."""

    config: RunConfig
    runs_folder: Path
    name: str | None = None


@dataclass(frozen=True)
class CheckResult:
    """What the checks found; `notes` are texts to show beside settings, by their names.

    The time is calculated from `speed`, which is None if the run can't be trained or its speed is not known.
    """

    checks: tuple[Check, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    speed: Speed | None = None

    @property
    def wrong(self) -> tuple[Check, ...]:
        """The checks that prevent the start."""
        return tuple(check for check in self.checks if check.state == "wrong")


Measurable = tuple[Network, Hardware, str]


def measurable(config: RunConfig) -> Measurable:
    """Return the parts of a config that its speed depends on most: network, hardware and precision."""
    return config.network, config.hardware, config.recipe.precision


TITLES: Mapping[str, str] = {
    "folder": "data",
    "download": "data",
    "batch_size": "batch",
    "gpus": "ranks",
    "parallel": "ranks",
}
"""Titles of problems by the setting at fault, if its own name is not clear."""


class Checker:
    """Checks planned runs, and remembers what it has read of earlier runs."""

    def __init__(self) -> None:
        self._runs = RunList()
        self._earlier: list[Summary] = []
        self._read_at = float("-inf")
        self._measured: dict[Measurable, Speed] = {}

    def take_speed(self, config: RunConfig, speed: Speed) -> None:
        """Remember the measured speed of a config. Call this from any thread."""
        self._measured[measurable(config)] = speed

    def check(self, request: CheckRequest, worker: WaitingWorker | None = None) -> CheckResult:
        """Check a planned run. What only PyTorch can tell is checked by a `worker` that has imported it."""
        planned = service.plan(request.config, request.runs_folder)
        config, problems = planned.config, planned.problems
        if worker is not None and not problems:
            problems = worker.find_problems(config)
        at_fault = {problem.setting for problem in problems}
        checks = [_wrong(problem) for problem in problems]
        speed = None
        if not at_fault & {"network", "folder"}:
            checks.append(_fit(config))
        if not at_fault & {"folder", "download"}:
            checks += _data(config)
        if not at_fault & {"network", "device"}:
            checks.append(_memory(config))
            speed = self._speed(request)
            checks.append(_time(config, speed))
        checks += _name(request)
        checks.sort(key=lambda check: check.state != "wrong")
        return CheckResult(tuple(checks), _notes(config), speed)

    def _speed(self, request: CheckRequest) -> Speed | None:
        if time.monotonic() > self._read_at + EARLIER_SECONDS:
            try:
                self._earlier = self._runs.summarise(list_runs(request.runs_folder))
            except RunError:
                self._earlier = []
            self._read_at = time.monotonic()
        config = request.config
        return expected_speed(config, self._earlier, self._measured.get(measurable(config)))


def _time(config: RunConfig, speed: Speed | None) -> Check:
    counts = image_counts(config, count_outputs(config.network) or 1)
    if speed is None:
        return Check("note", "time", "not known before a run on this GPU: m measures it")
    source = speed.source if speed.measured else f"{speed.source}: m measures it"
    if counts is None:
        text = f"about {speed.images_per_second:,.0f} images/s ({source}); images are counted as it starts"
        return Check("note", "time", text)
    epoch = epoch_seconds(speed, *counts)
    total = epoch * config.recipe.epochs
    return Check("note", "time", f"about {age_text(epoch)} an epoch, {age_text(total)} in all ({source})")


def _wrong(problem: Problem) -> Check:
    title = TITLES.get(problem.setting, problem.setting.replace("_", " "))
    return Check("wrong", title, problem.message, problem.setting, problem.fix)


def _fit(config: RunConfig) -> Check:
    shape = dataset_shape(config)
    classes = shape.classes or count_outputs(config.network)
    return Check("ok", "network", f"input {shape_text(config.network.input)} and {classes} classes: both fit")


def _data(config: RunConfig) -> Iterator[Check]:
    """Yield where the images are, or what must be downloaded first."""
    entry, folder = DATASETS[config.recipe.dataset], config.data.folder
    if entry.needs_folder:
        yield Check("ok", "data", f"{folder}: {classes_text(Path(folder or '.'))}")
    elif entry.images is None:
        yield Check("ok", "data", "drawn by the program: no real images")
    elif folder is not None:
        yield Check("note", "data", f"looked for in {folder} first")
    elif (where := folder_of(entry.name)) is not None:
        yield Check("ok", "data", f"here, in {home_path(where)}")
    else:
        into = ""
        with suppress(NoHomeError):
            into = f", into {home_path(cache_folder(entry.name))}"
        yield Check("note", "data", f"not here: {bytes_text(entry.download_bytes)} are downloaded first{into}")


def _memory(config: RunConfig) -> Check:
    import psutil  # imported in the thread of the checks, since it takes a tenth of the time until the form is shown

    if may_use_gpu(config):
        taken = cpu_memory(config, 1).total - PROCESS_BYTES
        return Check("note", "memory", f"{bytes_text(taken)} of the GPU's; the worker looks how much is free")
    ranks, free = cpu_ranks(config), psutil.virtual_memory().available
    for problem in memory_problems(config, ranks, free):
        return Check("wrong", "memory", problem.message, problem.setting, problem.fix)
    return Check("ok", "memory", f"{bytes_text(cpu_memory(config, ranks).total)} of {bytes_text(free)} that are free")


def _name(request: CheckRequest) -> Iterator[Check]:
    if request.name is not None:
        try:
            new_run(request.runs_folder, request.name)
        except RunNameError as error:
            yield Check("wrong", "name", str(error), "name")


def _notes(config: RunConfig) -> dict[str, str]:
    entry = DATASETS[config.recipe.dataset]
    notes = {}
    if entry.images is not None:
        need = dataset_need(entry.name)
        notes["dataset"] = f"{entry.images.train:,} + {entry.images.val:,} images, {need}"
    if config.data.folder is not None:
        notes["folder"] = contents_text(Path(config.data.folder))
    return notes


def why_not_started(error: AlexploreError | OSError) -> Check:
    """Return the check that shows why a run could not be started."""
    if isinstance(error, service.PlanError):
        return _wrong(error.problem)
    return Check("wrong", "start", error_text(error), "name" if isinstance(error, RunNameError) else "")
