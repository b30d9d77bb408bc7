"""Compare a run that is killed on the device and resumed with runs that were not interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from alexplore.runs.config import Hardware
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.protocol import StartEvent
from alexplore.runs.reader import RunReader
from alexplore.training import checkpoint
from gpu_checks.bench import Bench, Check, Outcome, at_most, attempt, expect
from gpu_checks.layers import relative_difference
from gpu_checks.runs import largest_difference, losses_by_step, small_config, small_network

KILLED_WORKER = Path(__file__).with_name("killed_worker.py")

STEPS = 40  # in each of two epochs
SAVED_AT, KILLED_AT = 50, 60  # batches
LOSS_LIMIT, WEIGHT_LIMIT = 1e-4, 1e-3
"""Limits of the relative differences of the loss at every step, and of each tensor of the last checkpoint.

A GPU may sum in another order in each run, so bits may differ. On a CPU, a relative change of the images by 1e-6
changes these losses by 3e-7 and the weights by 1e-6; a resumed run without the optimizer's state is off by several per
cent.
"""


def run(bench: Bench) -> Outcome:
    """Kill a worker in its second epoch, resume the run, and compare with two uninterrupted runs."""
    return Outcome(attempt({"kill and resume": partial(_checks, bench)}))


def _checks(bench: Bench) -> Iterator[Check]:
    config = small_config(
        small_network(batch_norm=True, dropout=True), STEPS, Hardware(device=bench.device, gpus=1), epochs=2,
        optimizer="adam", lr=1e-3, random_crop=True, crop_padding=2, horizontal_flip=True,
    )  # fmt: skip
    whole, again, killed = (create_run(config, bench.work, name) for name in ("whole", "again", "killed"))
    exact = replace(config, recipe=replace(config.recipe, deterministic=True))
    exact_whole, exact_killed = (create_run(exact, bench.work, name) for name in ("exact-whole", "exact-killed"))
    workers = [start_worker(one) for one in (whole, again, exact_whole)]
    workers += [start_worker(one, SAVED_AT, KILLED_AT) for one in (killed, exact_killed)]
    codes = wait_for(workers, bench)
    yield expect("whole runs finish", codes[:3] == [0, 0, 0], last_output(whole, again, exact_whole))
    yield expect("the killed workers die by SIGKILL", codes[3:] == 2 * [-signal.SIGKILL], f"exit codes {codes[3:]}")
    codes = wait_for([start_worker(killed), start_worker(exact_killed)], bench)
    yield expect("they are resumed", codes == [0, 0], last_output(killed, exact_killed))
    starts = [line.event.step for line in RunReader(killed).events() if isinstance(line.event, StartEvent)]
    yield expect("from the checkpoint within the second epoch", starts == [0, SAVED_AT], f"starts at steps {starts}")
    losses, reference = losses_by_step(killed), losses_by_step(whole)
    noise = largest_difference(losses_by_step(again), reference)
    yield at_most("losses", largest_difference(losses, reference), LOSS_LIMIT, f"between two whole runs {noise:.1e}")
    weights, expected, others = (last_weights(one) for one in (killed, whole, again))
    noise = _largest(others, expected)
    yield at_most("weights", _largest(weights, expected), WEIGHT_LIMIT, f"between two whole runs {noise:.1e}")
    weights, expected = last_weights(exact_killed), last_weights(exact_whole)
    same = weights.keys() == expected.keys() and all(torch.equal(weights[name], expected[name]) for name in weights)
    same = same and losses_by_step(exact_killed) == losses_by_step(exact_whole)
    yield expect("with deterministic = true, the same bits", same)


def start_worker(run: RunDirectory, *batches: int) -> subprocess.Popen[bytes]:
    """Start a worker on a run, in fp32 without TF32; it saves and is killed at `batches`."""
    worker = [str(KILLED_WORKER)] if batches else ["-m", "alexplore.training.worker"]
    program = [*worker, str(run.path), *map(str, batches)]
    with run.console_file.open("ab") as console:
        return subprocess.Popen(
            [sys.executable, *program],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NVIDIA_TF32_OVERRIDE": "0", "PYTHONUNBUFFERED": "1"},
        )


def wait_for(workers: list[subprocess.Popen[bytes]], bench: Bench) -> list[int]:
    """Wait for workers and return their exit codes; workers that still run at the deadline are killed.

    Raises:
        TimeoutError: a worker still ran at the part's deadline.
    """
    try:
        while any(worker.poll() is None for worker in workers):
            if bench.seconds_left() < 0:
                raise TimeoutError("a worker was not done when the part's time was up")
            time.sleep(0.05)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
    return [worker.returncode for worker in workers]


def last_weights(run: RunDirectory) -> dict[str, Tensor]:
    """Return the weights and statistics of a run's last checkpoint."""
    return checkpoint.read(run.checkpoints_folder / "last").weights


def _largest(found: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    if found.keys() != reference.keys():
        return float("inf")
    return max(
        relative_difference(found[name], value) for name, value in reference.items() if value.dtype == torch.float32
    )


def last_output(*runs: RunDirectory) -> str:
    """Return the last line that the worker of each run printed."""
    return "; ".join(" ".join(run.console_tail(1)) for run in runs)
