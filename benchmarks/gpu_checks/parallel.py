"""Compare two GPUs with one: a batch shared between two ranks, and a tower on each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from alexplore.runs.config import Hardware
from alexplore.runs.directory import RunDirectory, create_run
from gpu_checks.bench import Bench, Check, Outcome, at_most, attempt, expect, skip
from gpu_checks.resume import last_output, start_worker, wait_for
from gpu_checks.runs import largest_difference, losses_by_step, small_config, small_network

STEPS, TINY_STEPS = 40, 3
RANKS = 2
LOSS_LIMIT = 1e-4
"""Limit of the relative difference of the losses at every step: the ranks sum in another order."""
WAYS = {"data": "a batch shared between two ranks", "towers": "a tower on each of two ranks"}


def run(bench: Bench) -> Outcome:
    """Compare the losses of two ranks with those of one, with NCCL on two GPUs; in a dry run with gloo on the CPU."""
    gpus = torch.cuda.device_count()
    if not bench.dry and gpus < RANKS:
        reason = f"needs {RANKS} GPUs, this machine has {gpus}"
        return Outcome(tuple(skip(name, reason) for name in WAYS.values()))
    return Outcome(attempt({"two ranks": partial(_checks, bench)}))


def _checks(bench: Bench) -> Iterator[Check]:
    single = _run(bench, "single", Hardware(device=bench.device, gpus=1))
    shared = [_run(bench, way, Hardware(device=bench.device, gpus=RANKS, parallel=way)) for way in WAYS]
    codes = wait_for([start_worker(run) for run in (single, *shared)], bench)
    yield expect("all runs finish", codes == [0] * len(codes), last_output(single, *shared))
    reference = losses_by_step(single)
    for run, name in zip(shared, WAYS.values(), strict=True):
        yield at_most(name, largest_difference(losses_by_step(run), reference), LOSS_LIMIT)


def _run(bench: Bench, name: str, hardware: Hardware) -> RunDirectory:
    config = small_config(small_network(), TINY_STEPS if bench.dry else STEPS, hardware, optimizer="adam", lr=1e-3)
    return create_run(config, bench.work, name)
