"""Time tasks on a device, on a machine that other programs use too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

Task = Callable[[], object]
Slowest = Callable[[list[float]], list[float]]

ROUNDS = 3  # at least, if they agree
MOST_ROUNDS = 9
SPREAD = 1.1  # largest speedup of a round over the smallest, in rounds that agree
ENOUGH_SECONDS = 5.0  # of timing, after which no further round begins
FASTEST_ROUNDS = 4
FASTEST_SECONDS = 0.5


@dataclass(frozen=True)
class Comparison:
    """The times of two tasks."""

    seconds: dict[str, float]
    """Median over the rounds, by the task's name."""

    speedup: float
    """Median over the rounds of the first task's time divided by the second's: above 1 the second is faster."""


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished all its work."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def wall_seconds(task: Task, device: torch.device) -> float:
    """Run a task once, wait for the device, and return the duration in seconds."""
    synchronize(device)
    start = time.perf_counter()
    task()
    synchronize(device)
    return time.perf_counter() - start


def processor_seconds(task: Task) -> float:
    """Run a task once with one thread and return its processor time in seconds.

    This excludes the time of other programs. With several threads it would not: they spin while they wait for a thread
    that another program has interrupted.
    """
    with _one_thread():
        start = time.process_time()
        task()
        return time.process_time() - start


def fastest(task: Task, device: torch.device) -> float:
    """Return the shortest duration in seconds of a few runs of a task, after a run to warm up."""
    wall_seconds(task, device)
    seconds = [wall_seconds(task, device)]
    while len(seconds) < FASTEST_ROUNDS and sum(seconds) < FASTEST_SECONDS:
        seconds.append(wall_seconds(task, device))
    return min(seconds)


def compare(tasks: Mapping[str, Task], device: torch.device, slowest: Slowest = lambda seconds: seconds) -> Comparison:
    """Compare the times of two tasks: by duration on a GPU, by the processor time of one thread on a CPU.

    The first run of each warms up and is not counted. Then both are timed in rounds, one directly after the other and
    in alternating order, so that changes of the machine's load or clock rate affect both. There are
    `ROUNDS` of them if their speedups differ by less than a factor of `SPREAD`, else up to `MOST_ROUNDS`, within
    `ENOUGH_SECONDS`.

    `slowest` returns the maximum of each value over all ranks, so that all ranks get the same result.
    """

    def seconds_of(task: Task) -> float:
        return processor_seconds(task) if device.type == "cpu" else wall_seconds(task, device)

    for task in tasks.values():
        seconds_of(task)
    rounds: list[list[float]] = []
    while len(rounds) < MOST_ROUNDS:
        names = tuple(tasks)
        measured = {name: seconds_of(tasks[name]) for name in (names if len(rounds) % 2 == 0 else names[::-1])}
        rounds.append(slowest([measured[name] for name in names]))
        agreed = len(rounds) >= ROUNDS and max(_speedups(rounds)) < SPREAD * min(_speedups(rounds))
        if agreed or sum(map(sum, rounds)) > ENOUGH_SECONDS:
            break
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return Comparison(dict(zip(tasks, medians, strict=True)), statistics.median(_speedups(rounds)))


def _speedups(rounds: list[list[float]]) -> list[float]:
    return [first / max(second, 1e-9) for first, second in rounds]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
