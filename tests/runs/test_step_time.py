"""What is said about where the time of a step goes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from alexplore.presets.recipe import Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import MetricsLine, metrics_record
from alexplore.runs.step_time import BOUNDS, Bound, StepTime, step_time
from alexplore.runs.watch import Watch


@pytest.mark.parametrize("bound", BOUNDS.values(), ids=BOUNDS)
def test_a_part_limits_from_its_share_on(bound: Bound) -> None:
    rest = 100 * (1 - bound.share)
    at = StepTime({bound.part: 100 * bound.share, "time/forward": rest})
    below = StepTime({bound.part: 98 * bound.share, "time/forward": rest})
    assert (at.name, below.name) == (bound.name, "compute-bound")
    assert at.verdict.startswith(f"{bound.name}: {bound.share:.0%} of a step of 100 ms {bound.does}")


def test_of_two_limits_the_one_further_beyond_its_share_is_named() -> None:
    """One of two ranks takes 40 ms longer for its images: on average 20 ms of input, and 20 ms of waiting."""
    spent = StepTime({"time/input": 20, "time/wait": 20, "time/forward": 20}, slowest_rank=1)
    assert spent.verdict == "slow rank: 33% of a step of 60 ms waits for other ranks; the slowest is rank 1"


def test_a_slow_layer_is_named_where_calculations_are_the_limit() -> None:
    spent = StepTime({"time/forward": 60, "time/backward": 35, "time/other": 5}, slow_layer=("conv2", 0.71))
    assert spent.verdict == (
        "compute-bound: 95% of a step of 100 ms calculates forward and backward; conv2 takes 71% of the forward pass"
    )
    assert spent.parts_text == "forward 60% · backward 35% · other 5%"


def test_the_first_line_of_all_does_not_count(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "run")
    with LineWriter(run.metrics_file, attempt=0) as writer:
        for step, forward in enumerate((1000.0, 10.0, 20.0), 1):
            writer.append(**metrics_record(MetricsLine(step, step / 9, {"time/forward": forward})))
    spent = step_time(Watch(run).poll())
    assert spent is not None
    assert spent.parts == {"time/forward": 15.0}


def test_advice_names_settings_that_there_are() -> None:
    words = {word for bound in BOUNDS.values() for word in re.findall(r"[a-z]+(?:_[a-z]+)+", bound.advice)}
    assert words
    assert words <= {field.name for field in fields(Recipe)}
