"""Check the parts of a run's config that only PyTorch can check: devices, towers and starting weights.

A worker makes the same checks before it trains. Here they return problems, for a form that is still open.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alexplore.core.errors import WRONG_USE
from alexplore.network.analysis import analyse
from alexplore.runs.accelerators import device_problems, network_problems
from alexplore.runs.config import RunConfig
from alexplore.runs.preflight import Fix, Problem
from alexplore.training.errors import CheckpointError, UsageError
from alexplore.training.hardware import find_accelerators
from alexplore.training.model.build import build, why_too_large
from alexplore.training.parallel.towers import place
from alexplore.training.starting_weights import match_starting_weights


def find_problems(config: RunConfig) -> Iterator[Problem]:
    """Yield the problems of a config that has passed the checks without PyTorch."""
    accelerators = find_accelerators()
    yield from device_problems(config.hardware, accelerators)
    yield from network_problems(config, accelerators)
    if reason := why_too_large(analyse(config.network)):
        yield Problem("network", reason)
        return
    yield from _placement_problems(config)
    yield from _weight_problems(config)


def _placement_problems(config: RunConfig) -> Iterator[Problem]:
    if config.hardware.parallel != "towers":
        return
    try:
        place(config.network)
    except UsageError as error:
        yield Problem("parallel", str(error), Fix("train with --parallel data", {"parallel": "data"}))


def _weight_problems(config: RunConfig) -> Iterator[Problem]:
    if config.recipe.weights is None:
        return
    try:
        match_starting_weights(build(config.network).state_dict(), Path(config.recipe.weights), lambda _: None)
    except CheckpointError as error:
        fix = Fix("start without weights", {"weights": None})
        yield Problem("weights", str(error), fix, failure=error.exit_code != WRONG_USE)
