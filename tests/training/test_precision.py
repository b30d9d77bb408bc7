"""Precisions: measured in turns, chosen by the slowest rank's time, and trained in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
import torch

from alexplore.training import precision
from alexplore.training.precision import Precision, matmul_peak, time_each
from tests.support.runs import events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun

CPU = torch.device("cpu")


class Clock:
    """A clock that tasks move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.ran: list[str] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def task(self, name: str, *seconds: float) -> Callable[[], None]:
        left = list(seconds)

        def run() -> None:
            self.ran.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_tasks_run_in_turns_and_their_first_time_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    tasks = {"a": clock.task("a", 0.1, 0.04, 0.03, 0.05), "b": clock.task("b", 0.01, 0.02)}
    assert time_each(tasks, CPU) == pytest.approx({"a": 0.03, "b": 0.02})
    assert clock.ran == ["a", "b"] * (1 + precision.ROUNDS)


def test_long_tasks_run_once_more_and_plainly_unequal_ones_not_even_that(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert time_each({"a": clock.task("a", 3.0), "b": clock.task("b", 4.0)}, CPU) == {"a": 3.0, "b": 4.0}
    assert clock.ran == ["a", "b"] * 2
    clock.ran.clear()
    assert time_each({"a": clock.task("a", 1.0), "b": clock.task("b", 9.0)}, CPU) == {"a": 1.0, "b": 9.0}
    assert clock.ran == ["a", "b"]


def test_the_slowest_rank_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    seconds = time_each({"a": clock.task("a", 0.1)}, CPU, lambda mine: [2 * value for value in mine])
    assert seconds == pytest.approx({"a": 0.2})


def test_peak_counts_a_multiplication_and_an_addition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "time_each", lambda tasks, _: {"matmul": 0.5 if tasks["matmul"]().sum() else 0})
    assert matmul_peak(CPU, "fp32") == 2 * 1024 * 1024 * 1024 / 0.5


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_sixteen_bits_train_about_as_thirty_two_do(name: str, make_run: MakeRun) -> None:
    exact = make_run("fp32", epochs=1)
    train_here(exact)
    run = make_run(name, precision=name, epochs=1)
    train_here(run)
    assert events(run, "start")[0]["precision"] == name
    assert events(run, "precision")[0]["seconds"] == {}
    found, expected = metrics(run), metrics(exact)
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert math.isfinite(value)
        if key[0].endswith("loss"):
            assert value == pytest.approx(expected[key], rel=0.05)
            assert key[0] == "val/loss" or value != expected[key]


def test_autocast_is_the_precision_it_says() -> None:
    layer = torch.nn.Linear(2, 2)
    with Precision("bf16", CPU).autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with Precision("fp32", CPU).autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.float32
