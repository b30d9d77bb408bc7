"""Memory and time of a training that has not begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.runs import estimate
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.estimate import cpu_memory, cpu_ranks, epoch_seconds, expected_speed, memory_problems
from alexplore.runs.status import Status
from alexplore.runs.summary import Summary

GIB = 2**30


def summary(name: str, config: RunConfig | None, speed: float | None) -> Summary:
    latest = {} if speed is None else {"images_per_second": speed}
    return Summary(RunDirectory(Path(name)), Status("finished"), config, latest)


def test_nothing_is_wrong_with_memory_that_is_enough(config: RunConfig) -> None:
    needed = cpu_memory(config, 1).total
    assert list(memory_problems(config, 1, needed)) == []
    assert len(list(memory_problems(config, 1, needed - 1))) == 1


def test_the_batch_that_is_proposed_fits(config: RunConfig) -> None:
    config = config.change({"batch_size": 65_536})
    free = cpu_memory(config, 1).total // 2
    (problem,) = memory_problems(config, 1, free)
    assert problem.setting == "batch_size"
    assert problem.fix is not None
    fitting = problem.fix.changes["batch_size"]
    assert list(memory_problems(config.change({"batch_size": fitting}), 1, free)) == []
    assert list(memory_problems(config.change({"batch_size": fitting + 2}), 1, free))


def test_the_ranks_that_are_proposed_fit(config: RunConfig) -> None:
    free = 2 * GIB
    (problem,) = memory_problems(config, 16, free)
    assert problem.setting == "gpus"
    assert problem.fix is not None
    fitting = problem.fix.changes["gpus"]
    assert list(memory_problems(config, fitting, free)) == []
    assert list(memory_problems(config, fitting + 1, free))


def test_towers_are_not_to_be_trained_on_fewer_ranks(config: RunConfig) -> None:
    paper = load_preset("paper")
    towers = replace(config, network=paper.network, recipe=paper.recipe, hardware=Hardware("cpu", parallel="towers"))
    assert cpu_ranks(towers) == 2
    needed = cpu_memory(towers, 2)
    (problem,) = memory_problems(towers, 2, needed.activations + needed.per_rank)
    assert problem.setting == "batch_size"
    assert "--gpus" not in problem.message


def test_drawn_images_that_do_not_fit_are_refused(config: RunConfig) -> None:
    """A million images of 28×28 pixels, on each of two ranks, beside what the network takes."""
    config = config.change({"dataset": "synthetic", "limit_train": 10**6, "limit_val": 100})
    network, images = cpu_memory(config, 2).total, 2 * 10**6 * 28 * 28
    assert list(memory_problems(config, 2, network + images)) == []
    (problem,) = memory_problems(config, 2, network + images - 2 * estimate.USUAL_IMAGES)
    assert problem.setting == "limit_train"
    assert "the drawn images would take 1.5 GiB of memory" in problem.message
    assert problem.message.endswith("use a smaller --limit-train")


def test_the_speed_of_the_same_network_comes_first(config: RunConfig) -> None:
    other = replace(config, network=config.network.with_input(1, 12, 12).with_classes(20))
    earlier = [
        summary("unreadable", None, 1),
        summary("new", config, None),
        summary("b", other, 5),
        summary("a", config, 70),
    ]
    speed = expected_speed(config, earlier)
    assert speed is not None
    assert (speed.images_per_second, speed.source, speed.guessed) == (70, "as fast as a", False)


def test_what_was_measured_comes_after_a_run_of_the_network_and_before_others(config: RunConfig) -> None:
    other = replace(config, network=config.network.with_input(1, 12, 12).with_classes(20))
    measured = estimate.Speed(33, "measured", measured=True)
    assert expected_speed(config, [summary("b", other, 5)], measured) == measured
    speed = expected_speed(config, [summary("b", other, 5), summary("a", config, 70)], measured)
    assert speed is not None
    assert speed.source == "as fast as a"
    assert speed.measured


def test_the_speed_of_another_network_is_taken_over_by_its_multiplications(config: RunConfig) -> None:
    channels, height, width = config.network.input
    larger = replace(config, network=config.network.with_input(channels, 4 * height, 4 * width))
    ratio = analyse(larger.network).totals.macs / analyse(config.network).totals.macs
    speed = expected_speed(config, [summary("larger", larger, 100)])
    assert speed is not None
    assert ratio > 2
    assert speed.images_per_second == pytest.approx(100 * ratio)


def test_a_run_on_other_hardware_says_nothing(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "has_nvidia_driver", lambda: False)
    on_gpu = replace(config, hardware=Hardware(device="cuda"))
    speed = expected_speed(config, [summary("gpu", on_gpu, 1e6)])
    assert speed is not None
    assert speed.guessed
    assert speed.source == "a guess"
    assert expected_speed(on_gpu, [summary("cpu", config, 1.0)]) is None


def test_an_epoch_trains_on_every_image_and_evaluates_at_a_third_of_the_cost() -> None:
    assert epoch_seconds(estimate.Speed(100, "measured"), 3000, 900) == 33
