"""Where the time of a step goes: by a clock that the tests set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from alexplore.runs.diagnosis import diagnose_run
from alexplore.runs.lines import LineReader
from alexplore.runs.metrics import TIME_METRICS
from alexplore.runs.step_time import BOUNDS, step_time
from alexplore.runs.watch import Snapshot, Watch
from alexplore.training import nonfinite, step_timer
from alexplore.training.data.dataset import ResidentSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.inside.layer_figures import is_measured
from alexplore.training.parallel.ranks import SINGLE_RANK
from alexplore.training.step_timer import PARTS, StepTimer, TimeLog, step_times
from tests.support.training import train_here
from tests.training.conftest import MakeRun

CPU = torch.device("cpu")


class Clock:
    """A clock that stands still but for `pass_` and a millisecond for each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 0.001
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(step_timer, "time", clock)
    return clock


def do_step(timer: StepTimer, clock: Clock, **seconds: float) -> None:
    """Do a step whose parts take so long, after the wait for its images."""
    for part, duration in seconds.items():
        timer.enter(part)
        clock.pass_(duration)
    timer.end_step()


def test_the_parts_of_a_step_follow_each_other(clock: Clock) -> None:
    timer = StepTimer(CPU)
    timer.start()
    clock.pass_(1)
    do_step(timer, clock, copy=2, forward=3, backward=4, optimizer=5, other=6)
    clock.pass_(7)
    timer.enter("copy")
    times = timer.take()
    assert times.steps == 1
    expected = {"input": 8, "copy": 2, "forward": 3, "backward": 4, "optimizer": 5, "other": 6}
    assert times.parts == pytest.approx(expected, abs=0.01)
    assert timer.take().parts == {}


def test_a_stopped_timer_counts_nothing(clock: Clock) -> None:
    timer = StepTimer(CPU)
    do_step(timer, clock, forward=1)
    timer.start()
    timer.stop()
    clock.pass_(100)
    timer.start()
    do_step(timer, clock, forward=1)
    assert sum(timer.take().parts.values()) == pytest.approx(1, abs=0.01)


def test_an_exchange_inside_another_part_is_not_part_of_it(clock: Clock) -> None:
    timer = StepTimer(CPU)
    timer.start()
    timer.enter("forward")
    clock.pass_(1)
    with timer.inside("exchange"):
        clock.pass_(2)
    clock.pass_(4)
    timer.end_step()
    assert timer.take().parts == pytest.approx({"input": 0, "forward": 5, "exchange": 2}, abs=0.01)


def test_what_follows_the_last_gradient_is_exchange(clock: Clock) -> None:
    timer = StepTimer(CPU)
    timer.start()
    timer.enter("backward")
    for seconds in (1, 2):
        clock.pass_(seconds)
        timer.mark_gradient(torch.zeros(0))
    clock.pass_(5)
    timer.end_backward()
    do_step(timer, clock, optimizer=1)
    assert timer.take().parts == pytest.approx({"input": 0, "backward": 3, "exchange": 5, "optimizer": 1}, abs=0.01)


def test_of_a_step_in_one_the_inner_parts_are_not_told_apart(clock: Clock) -> None:
    timer = StepTimer(CPU)
    timer.whole_steps = True
    timer.start()
    do_step(timer, clock, copy=1, forward=2, backward=3, optimizer=4, other=5)
    assert timer.take().parts == pytest.approx({"input": 0, "copy": 1, "step": 9, "other": 5}, abs=0.01)


def test_with_a_stride_some_steps_are_timed(clock: Clock) -> None:
    timer = StepTimer(CPU, stride=3)
    timer.start()
    for number in range(7):
        do_step(timer, clock, forward=10**number)
    times = timer.take()
    assert times.steps == 3
    assert times.parts["forward"] == pytest.approx(1 + 10**3 + 10**6, abs=0.01)


class Slow(nn.Module):
    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.clock.pass_(self.seconds)
        return values


def test_the_second_step_times_each_layer(clock: Clock) -> None:
    model = nn.Sequential(Slow(clock, 1), Slow(clock, 3))
    timer, log = StepTimer(CPU, model), TimeLog(SINGLE_RANK)
    timer.start()
    for _ in range(3):
        timer.enter("forward")
        model(torch.zeros(1))
        timer.end_step()
    times = timer.take()
    assert times.layers == pytest.approx({"0": 1, "1": 3}, abs=0.01)
    log.add(times)
    assert log.take() == pytest.approx(
        {"time/input": 1, "time/forward": 4000, "forward_time/0": 1000, "forward_time/1": 3000}, abs=10
    )
    assert log.take() == {}
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model)


def test_ranks_wait_for_the_slowest() -> None:
    """Each step: rank 0 works 3 s, rank 1 works 7 s; both leave the exchange 1 s after the later has come."""
    nothing = dict.fromkeys(PARTS, 0.0)
    fast = {**nothing, "forward": 1, "backward": 2, "exchange": 5}
    slow = {**nothing, "forward": 3, "backward": 4, "exchange": 1}
    assert step_times([fast, slow]) == {
        "time/forward": 2000, "time/backward": 3000, "time/exchange": 1000, "time/wait": 2000, "time/slowest_rank": 1,
    }  # fmt: skip
    assert step_times([fast]) == {"time/forward": 1000, "time/backward": 2000, "time/exchange": 5000}


SLOWDOWN = 1000.0
"""Seconds, so long that the evaluation, which is timed by a real clock, does not count beside it on a busy machine."""


def slow_generator(clock: Clock, function: Callable[..., Any]) -> Callable[..., Any]:
    def slowed(*arguments: Any, **keywords: Any) -> Any:
        for batch in function(*arguments, **keywords):
            clock.pass_(SLOWDOWN)
            yield batch

    return slowed


def slow(clock: Clock, function: Callable[..., Any]) -> Callable[..., Any]:
    def slowed(*arguments: Any, **keywords: Any) -> Any:
        clock.pass_(SLOWDOWN)
        return function(*arguments, **keywords)

    return slowed


SLOWDOWNS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "data-bound": (ResidentSplit, "batches", slow_generator),
    "transform-bound": (Preprocess, "augmented", slow),
    "optimizer-bound": (nonfinite, "update", slow),
}


def trained(make_run: MakeRun, **recipe: Any) -> Snapshot:
    run = make_run(epochs=1, **recipe)
    train_here(run)
    return Watch(run).poll()


@pytest.mark.parametrize("name", SLOWDOWNS)
def test_a_slow_part_is_named(name: str, make_run: MakeRun, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, slowed = SLOWDOWNS[name]
    monkeypatch.setattr(owner, attribute, slowed(clock, getattr(owner, attribute)))
    snapshot = trained(make_run)
    (finding,) = [finding for finding in diagnose_run(snapshot) if finding.rule in BOUNDS]
    assert finding.rule == name
    assert f"{name}: 100%" in finding.text
    assert finding.advice


def test_a_slow_layer_is_named(make_run: MakeRun, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.MaxPool2d, "forward", slow(clock, nn.MaxPool2d.forward))
    snapshot = trained(make_run)
    found = step_time(snapshot)
    assert found is not None
    assert not {finding.rule for finding in diagnose_run(snapshot)} & BOUNDS.keys()
    assert found.bound is None
    assert found.verdict.startswith("compute-bound: 100%")
    assert found.verdict.endswith("pool1 takes 100% of the forward pass")


def test_times_are_in_some_of_the_lines_that_have_figures_of_layers(make_run: MakeRun) -> None:
    """Steps that are read together have one line with times."""
    run = make_run(epochs=1)
    train_here(run)
    lines = LineReader(run.metrics_file).read()
    timed = {line["step"] for line in lines if "time/forward" in line}
    assert 1 in timed
    assert timed <= {step for step in range(1, 6) if is_measured(step, 1, 5)}
    keys = {key for line in lines for key in line if key.startswith("time/")}
    assert keys == TIME_METRICS.keys() - {"time/exchange", "time/wait", "time/slowest_rank", "time/step"}
