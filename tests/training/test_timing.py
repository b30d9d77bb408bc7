"""Comparing the times of two tasks, with clocks that the test moves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
import torch

from alexplore.training import timing
from alexplore.training.timing import compare, fastest

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

Seconds = Callable[[], float]


def always(seconds: float) -> Seconds:
    return lambda: seconds


def in_turn(*seconds: float) -> Seconds:
    """Each duration once, the last again and again."""
    left = list(seconds)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


class Machine:
    """Two clocks that tasks move: the wall's, and the processor's for this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.processor = 0.0
        self.ran: list[str] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(time, "process_time", lambda: self.processor)

    def task(self, name: str, *, wall: Seconds | None = None, processor: Seconds | None = None) -> Callable[[], None]:
        def run() -> None:
            self.ran.append(name)
            self.wall += wall() if wall else 0.0
            self.processor += processor() if processor else 0.0

        return run


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_rounds_that_agree_end_the_comparison(machine: Machine) -> None:
    tasks = {
        "a": machine.task("a", processor=in_turn(9.0, 0.30, 0.32, 0.31)),  # the first run builds what is reused
        "b": machine.task("b", processor=in_turn(1.0, 0.20, 0.20, 0.21)),
    }
    found = compare(tasks, CPU)
    assert found.seconds == pytest.approx({"a": 0.31, "b": 0.20})
    assert found.speedup == pytest.approx(1.5)
    assert machine.ran == ["a", "b", "a", "b", "b", "a", "a", "b"]


def test_more_rounds_are_timed_if_some_disagree(machine: Machine) -> None:
    tasks = {
        "a": machine.task("a", processor=in_turn(1.0, 0.2, 0.9, 0.2, 0.2, 0.5, 0.2)),
        "b": machine.task("b", processor=always(0.1)),
    }
    found = compare(tasks, CPU)
    assert found.seconds == pytest.approx({"a": 0.2, "b": 0.1})
    assert found.speedup == pytest.approx(2.0)
    assert machine.ran.count("a") == machine.ran.count("b") == 1 + timing.MOST_ROUNDS


def test_slow_tasks_are_not_repeated_for_long(machine: Machine) -> None:
    tasks = {"a": machine.task("a", processor=always(2.0)), "b": machine.task("b", processor=always(4.0))}
    assert compare(tasks, CPU).speedup == 0.5
    assert machine.ran == ["a", "b"] * 2


def test_a_cpu_is_timed_with_one_thread(machine: Machine) -> None:
    threads: list[int] = []

    def processor() -> float:
        threads.append(torch.get_num_threads())
        return 0.1

    torch.set_num_threads(2)
    try:
        compare({name: machine.task(name, processor=processor) for name in "ab"}, CPU)
        assert set(threads) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("speedup", [0.5, 1.0, 1.3, 2.0])
def test_other_programs_do_not_change_the_result(speedup: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take the processor away for nine tenths of the time, and slow down the rest a little."""
    for seed in range(100):
        generator, machine = random.Random(seed), Machine(monkeypatch)

        def waiting(generator: random.Random = generator) -> float:
            return generator.uniform(0.0, 2.0)

        def work(seconds: float, generator: random.Random = generator) -> Seconds:
            return lambda: seconds * (1.5 if generator.random() < 0.05 else generator.uniform(1.0, 1.05))

        tasks = {
            "a": machine.task("a", wall=waiting, processor=work(0.2)),
            "b": machine.task("b", wall=waiting, processor=work(0.2 / speedup)),
        }
        assert compare(tasks, CPU).speedup == pytest.approx(speedup, rel=0.1)


def test_a_change_of_clock_rate_affects_both_tasks_alike(machine: Machine) -> None:
    rate = in_turn(1.0, 1.0, 3.0, 3.0, 7.0, 7.0, 2.0, 2.0)
    tasks = {
        "a": machine.task("a", processor=lambda: 0.2 * rate()),
        "b": machine.task("b", processor=lambda: 0.1 * rate()),
    }
    assert compare(tasks, CPU).speedup == pytest.approx(2.0)
    assert machine.ran.count("a") == 1 + timing.ROUNDS


def test_a_gpu_is_timed_by_the_wall_clock(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: None)
    tasks = {"a": machine.task("a", wall=always(0.3)), "b": machine.task("b", wall=always(0.1))}
    assert compare(tasks, CUDA).speedup == pytest.approx(3.0)


def test_the_slowest_rank_decides(machine: Machine) -> None:
    tasks = {"a": machine.task("a", processor=always(0.1)), "b": machine.task("b", processor=always(0.1))}
    found = compare(tasks, CPU, lambda mine: [3 * mine[0], mine[1]])
    assert found.seconds == pytest.approx({"a": 0.3, "b": 0.1})
    assert found.speedup == pytest.approx(3.0)


def test_the_fastest_run_counts_but_not_the_first(machine: Machine) -> None:
    assert fastest(machine.task("a", wall=in_turn(0.01, 0.04, 0.03, 0.05)), CPU) == pytest.approx(0.03)
    assert len(machine.ran) == 1 + timing.FASTEST_ROUNDS
    machine.ran.clear()
    assert fastest(machine.task("slow", wall=always(3.0)), CPU) == pytest.approx(3.0)
    assert len(machine.ran) == 2
