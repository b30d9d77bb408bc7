"""Comparing the times of two tasks, with a clock that the test moves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from alexplore.training import timing
from alexplore.training.timing import Comparison, compare, fastest

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

Seconds = Callable[[], float]


class Machine:
    """Two clocks that tasks move: the wall's, and the processor's for this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.processor = 0.0
        self.ran: list[str] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(time, "process_time", lambda: self.processor)

    def task(self, name: str, wall: Seconds, processor: Seconds = lambda: 0.0) -> Callable[[], None]:
        def run() -> None:
            self.ran.append(name)
            self.wall += wall()
            self.processor += processor()

        return run


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def always(seconds: float) -> Seconds:
    return lambda: seconds


def in_turn(*seconds: float) -> Seconds:
    """Each duration once, the last again and again."""
    left = list(seconds)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_rounds_that_agree_end_the_comparison(machine: Machine) -> None:
    tasks = {
        "a": machine.task("a", in_turn(9.0, 0.30, 0.32, 0.31)),  # the first run also builds what the later ones reuse
        "b": machine.task("b", in_turn(1.0, 0.20, 0.20, 0.21)),
    }
    found = compare(tasks, CPU)
    assert found.seconds == pytest.approx({"a": 0.31, "b": 0.20})
    assert found.speedup == pytest.approx(1.5)
    assert not found.busy
    assert machine.ran == ["a", "b", "a", "b", "b", "a", "a", "b"]


def test_one_disturbed_round_is_left_behind(machine: Machine) -> None:
    tasks = {"a": machine.task("a", in_turn(1.0, 0.2, 0.9, 0.2)), "b": machine.task("b", always(0.1))}
    found = compare(tasks, CPU)
    assert found.seconds == pytest.approx({"a": 0.2, "b": 0.1})
    assert not found.busy
    assert machine.ran.count("a") == 1 + 5


def test_a_load_that_slows_down_both_alike_changes_nothing(machine: Machine) -> None:
    load = in_turn(1.0, 1.0, 3.0, 3.0, 7.0, 7.0, 2.0, 2.0)
    tasks = {"a": machine.task("a", lambda: 0.2 * load()), "b": machine.task("b", lambda: 0.1 * load())}
    found = compare(tasks, CPU)
    assert found.speedup == pytest.approx(2.0)
    assert not found.busy


def noisy(generator: random.Random, seconds: float) -> Seconds:
    """The wall clock of a busy machine: others have the processor for up to nine tenths of the time."""
    return lambda: seconds * generator.choice([1.0, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0])


@pytest.mark.parametrize("speedup", [0.5, 1.0, 1.3, 2.0])
def test_processor_time_decides_on_a_busy_machine(speedup: float, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = busy = 0
    for seed in range(200):
        generator, machine = random.Random(seed), Machine(monkeypatch)
        threads: set[int] = set()

        def jitter(seconds: float, generator: random.Random = generator, threads: set[int] = threads) -> Seconds:
            def processor() -> float:
                threads.add(torch.get_num_threads())
                return seconds * generator.uniform(0.98, 1.05)

            return processor

        tasks = {
            "a": machine.task("a", noisy(generator, 0.2), jitter(0.2)),
            "b": machine.task("b", noisy(generator, 0.2 / speedup), jitter(0.2 / speedup)),
        }
        torch.set_num_threads(2)
        found = compare(tasks, CPU)
        assert torch.get_num_threads() == 2
        assert threads == ({1, 2} if found.busy else {2})
        busy += found.busy
        wrong += not 0.85 * speedup < found.speedup < 1.15 * speedup
    torch.set_num_threads(1)
    assert busy > 150
    assert wrong < 20  # where rounds agreed by chance; a single round would be wrong in most of the 200


def test_a_single_round_of_a_busy_machine_is_wrong_more_often_than_not() -> None:
    """What the test above guards against."""
    generator = random.Random(0)
    first, second = noisy(generator, 0.2), noisy(generator, 0.1)
    assert sum(not 0.85 * 2 < first() / second() < 1.15 * 2 for _ in range(200)) > 100


def test_slow_tasks_are_not_repeated_for_long_on_a_busy_machine(machine: Machine) -> None:
    wall = in_turn(30.0, 90.0)
    tasks = {
        "a": machine.task("a", lambda: wall() * 2 ** (len(machine.ran) % 5), always(8.0)),
        "b": machine.task("b", always(30.0), always(4.0)),
    }
    found = compare(tasks, CPU)
    assert found == Comparison({"a": 8.0, "b": 4.0}, 2.0, busy=True)
    assert machine.ran.count("a") == 1 + timing.MOST_ROUNDS + 1


def test_a_gpu_has_no_processor_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    durations: Iterator[float] = iter([0.2, 0.2, 0.4, 0.2, 0.4, 0.2, 0.4])
    tasks = {"a": machine.task("a", lambda: next(durations)), "b": machine.task("b", always(0.1))}
    found = compare(tasks, CUDA)
    assert found.speedup == pytest.approx(3.0)  # half-way between 2 and 4
    assert found.busy


def test_the_slowest_rank_decides(machine: Machine) -> None:
    tasks = {"a": machine.task("a", always(0.1)), "b": machine.task("b", always(0.1))}
    found = compare(tasks, CPU, lambda mine: [3 * mine[0], mine[1]])
    assert found.seconds == pytest.approx({"a": 0.3, "b": 0.1})


def test_the_fastest_run_counts_but_not_the_first(machine: Machine) -> None:
    task = machine.task("a", in_turn(0.01, 0.04, 0.03, 0.05))
    assert fastest(task, CPU) == pytest.approx(0.03)
    assert len(machine.ran) == 1 + timing.FASTEST_ROUNDS
    machine.ran.clear()
    assert fastest(machine.task("slow", always(3.0)), CPU) == pytest.approx(3.0)
    assert len(machine.ran) == 2
