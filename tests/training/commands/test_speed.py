"""The measurement of the speed of a planned training."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from alexplore.runs.config import RunConfig
from alexplore.runs.preflight import count_outputs
from alexplore.runs.speed import SpeedMeasurement
from alexplore.training.commands import speed
from alexplore.training.objective import Objective

CPU = torch.device("cpu")


def test_steps_grow_until_they_take_long_enough_and_the_fastest_counts(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.change({"batch_size": 64})
    seen: list[int] = []
    forward = Objective.forward

    def count(self: Objective, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(inputs))
        assert inputs.shape[1:] == config.network.input
        assert labels.max() < (count_outputs(config.network) or 0)
        return forward(self, inputs, labels)

    def seconds_of(task: Callable[[], object], device: torch.device) -> float:
        task()
        return seen[-1] / (50 if len(seen) == 3 else 100)  # another program runs during the third step

    monkeypatch.setattr(Objective, "forward", count)
    monkeypatch.setattr(speed, "wall_seconds", seconds_of)
    found = list(speed.speeds(config, CPU))
    assert found == [pytest.approx(100)] * len(found)
    assert seen[:4] == [4, 4, 20, 20]  # the first is not counted; 20 images take 0.2 s
    assert sum(seen[1:]) / 100 >= speed.MEASURED_SECONDS - 1


def test_no_step_has_more_images_than_a_batch(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config.change({"batch_size": 3})
    monkeypatch.setattr(speed, "MEASURED_SECONDS", 0.05)
    assert all(images_per_second > 0 for images_per_second in speed.speeds(config, CPU))


@pytest.mark.usefixtures("heavy")
def test_a_process_of_its_own_measures_and_is_stopped(config: RunConfig) -> None:
    with SpeedMeasurement(config) as measurement:
        numbers = iter(measurement)
        assert next(numbers) > 0
        measurement.stop()
        assert all(number > 0 for number in numbers)  # those that it had printed
    assert measurement._process.returncode is not None


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
def test_a_network_that_does_not_train_gives_no_numbers(config: RunConfig) -> None:
    broken = config.change({"network": config.network.with_input(*config.network.input[:1], 1, 1)})
    with SpeedMeasurement(broken) as measurement:
        assert list(measurement) == []
    assert json.loads(broken.to_json())["network"]["input"][1:] == [1, 1]
