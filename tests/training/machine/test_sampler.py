"""What a training records of its machine."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

import pytest

from alexplore.runs.lines import LineReader
from alexplore.runs.metrics import MACHINE_METRICS
from alexplore.training import session
from alexplore.training.machine.nvidia import QUANTITIES
from alexplore.training.machine.sampler import MachineSampler
from tests.support.runs import events
from tests.support.training import train_here
from tests.training.conftest import MakeRun


class Meter:
    """A source whose values the test sets; its counter rises by `step` joules a look."""

    def __init__(self, values: Mapping[str, float], joules: float | None = None, step: float = 0.0) -> None:
        self.values, self.counter, self.step = values, joules, step
        self.read_once = Event()

    def read(self) -> Mapping[str, float]:
        self.read_once.set()
        return self.values

    def joules(self) -> float | None:
        if self.counter is not None:
            self.counter += self.step
        return self.counter


def test_samples_are_taken_once_as_their_mean() -> None:
    meter, other = Meter({"machine/cpu": 0.5}), Meter({"machine/gpu": 1.0})
    sampler = MachineSampler([meter, other])
    assert sampler.take() == {}
    sampler.sample()
    meter.values = {"machine/cpu": 0.7, "machine/memory": 3.0}
    sampler.sample()
    assert sampler.take() == {"machine/cpu": 0.6, "machine/gpu": 1.0, "machine/memory": 3.0}
    assert sampler.take() == {}


def test_a_thread_samples_while_the_training_runs() -> None:
    meter = Meter({"machine/cpu": 0.5})
    sampler = MachineSampler([meter], seconds=0.001)
    with sampler.running():
        assert meter.read_once.wait(20)
    meter.read_once.clear()
    assert not meter.read_once.wait(0.01)
    assert sampler.take() == {"machine/cpu": 0.5}


def test_the_energy_of_an_epoch_is_that_of_all_counters_without_pauses() -> None:
    first, second, none = Meter({}, joules=100), Meter({}, joules=0), Meter({})
    sampler = MachineSampler([first, second, none])
    sampler.start_epoch(0)
    first.counter, second.counter = 160, 20
    with sampler.left_out():
        first.counter = 1000
    assert sampler.epoch(40) == {"machine/joules_per_image": 2.0, "machine/energy": 80.0}
    sampler.start_epoch(0)
    assert sampler.epoch(40) == {"machine/joules_per_image": 0.0, "machine/energy": 0.0}


def test_of_an_epoch_that_was_begun_before_only_the_energy_an_image_is_known() -> None:
    meter = Meter({}, joules=0)
    sampler = MachineSampler([meter])
    sampler.start_epoch(30)
    meter.counter = 50
    assert sampler.epoch(40) == {"machine/joules_per_image": 5.0}


@pytest.mark.parametrize("sampler", [MachineSampler([Meter({})]), MachineSampler([Meter({}, 1)], one_machine=False)])
def test_energy_that_is_not_measured_is_left_out(sampler: MachineSampler) -> None:
    sampler.start_epoch(0)
    with sampler.left_out():
        pass
    assert sampler.epoch(40) == {}


def test_what_is_sampled_is_recorded_with_the_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"machine/cpu": 0.5, "machine/memory": 2.0, "machine/cpu_power": 60.0, **dict.fromkeys(QUANTITIES, 3.0)}
    sampler = MachineSampler([Meter(values, joules=0, step=15.0)])
    sampler.sample()
    monkeypatch.setattr(session, "machine_sampler", lambda device, ranks: sampler)
    run = make_run(epochs=1)
    train_here(run)
    first, *_, last = LineReader(run.metrics_file).read()
    (epoch,) = events(run, "epoch")
    energy = {"machine/joules_per_image": 15 / 75, "machine/energy": 15.0}  # 75 images are trained
    assert {key: first[key] for key in values} == values
    assert {key: last[key] for key in energy} == energy == {key: epoch[key] for key in energy}
    assert values.keys() | energy.keys() == MACHINE_METRICS.keys()


def test_a_machine_without_meters_is_trained_on_like_any_other(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    assert train_here(run) == "finished"
    assert not any(key.startswith("machine/gpu") for line in LineReader(run.metrics_file).read() for key in line)
