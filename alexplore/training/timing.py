"""Time tasks on a device: by the clock on the wall, or, where other programs are in the way, by processor time.

A ratio of two times is taken from rounds: in a round each task runs once, directly after the other, so that a change of
the machine's load meets both alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

Task = Callable[[], object]
Slowest = Callable[[list[float]], list[float]]

ROUNDS = 3  # that must agree
MOST_ROUNDS = 6  # until they do
SPREAD = 1.2  # largest speedup of a round over the smallest, in rounds that agree
BUSY_ROUNDS = 5  # by processor time, which varies by a few percent
BUSY_SECONDS = 10.0  # after which no further one begins
FASTEST_ROUNDS = 4
FASTEST_SECONDS = 0.5


@dataclass(frozen=True)
class Comparison:
    """How long two tasks take."""

    seconds: dict[str, float]
    """Median over the rounds, by the task's name: wall-clock time, or processor time if `busy`."""

    speedup: float
    """Median over the rounds of the first task's time divided by the second's: above 1 the second is faster."""

    busy: bool
    """Whether other programs kept wall-clock times from agreeing, so that processor time was taken."""


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all the work it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def wall_seconds(task: Task, device: torch.device) -> float:
    """Run a task once and return the seconds that it takes on the wall clock."""
    synchronize(device)
    start = time.perf_counter()
    task()
    synchronize(device)
    return time.perf_counter() - start


def processor_seconds(task: Task) -> float:
    """Run a task once and return the seconds of processor time that it takes."""
    start = time.process_time()
    task()
    return time.process_time() - start


def fastest(task: Task, device: torch.device) -> float:
    """Return the shortest wall-clock time in seconds of a few runs of a task, after one that is not counted."""
    wall_seconds(task, device)
    seconds = [wall_seconds(task, device)]
    while len(seconds) < FASTEST_ROUNDS and sum(seconds) < FASTEST_SECONDS:
        seconds.append(wall_seconds(task, device))
    return min(seconds)


def compare(tasks: Mapping[str, Task], device: torch.device, slowest: Slowest = lambda seconds: seconds) -> Comparison:
    """Compare the times of two tasks.

    A first run of each is not counted: it builds what the later ones reuse. Then rounds are timed on the wall clock
    until the last `ROUNDS` agree: their speedups differ by less than a factor of `SPREAD`, as they do on a machine with
    nothing else to do. If `MOST_ROUNDS` don't bring that about on a CPU, other programs are in the way, and the tasks
    are compared by the processor time of a single thread, which does not count the time that others have the processor.
    (With several threads it would: they wait for each other at work.)

    `slowest` returns the largest of each value over all ranks, so that all ranks conclude the same.
    """

    def wall(task: Task) -> float:
        return wall_seconds(task, device)

    for task in tasks.values():
        wall(task)
    rounds: list[list[float]] = []
    while len(rounds) < MOST_ROUNDS:
        rounds.append(_round(tasks, wall, len(rounds), slowest))
        if len(rounds) >= ROUNDS and _agree(rounds[-ROUNDS:]):
            return _comparison(tasks, rounds[-ROUNDS:], busy=False)
    if device.type == "cpu":
        rounds.clear()
        with _one_thread():
            while len(rounds) < BUSY_ROUNDS and sum(map(sum, rounds)) < BUSY_SECONDS:
                rounds.append(_round(tasks, processor_seconds, len(rounds), slowest))
    return _comparison(tasks, rounds, busy=True)


def _round(tasks: Mapping[str, Task], measure: Callable[[Task], float], number: int, slowest: Slowest) -> list[float]:
    """Measure each task once; every second round in the opposite order."""
    names = list(tasks)
    seconds = {name: measure(tasks[name]) for name in (names if number % 2 == 0 else reversed(names))}
    return slowest([seconds[name] for name in names])


def _speedups(rounds: list[list[float]]) -> list[float]:
    return [first / max(second, 1e-9) for first, second in rounds]


def _agree(rounds: list[list[float]]) -> bool:
    speedups = _speedups(rounds)
    return max(speedups) < SPREAD * min(speedups)


def _comparison(tasks: Mapping[str, Task], rounds: list[list[float]], *, busy: bool) -> Comparison:
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return Comparison(dict(zip(tasks, medians, strict=True)), statistics.median(_speedups(rounds)), busy)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
