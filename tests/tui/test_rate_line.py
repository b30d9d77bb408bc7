"""The learning rate as a line of seven blocks: each is for a seventh of the epochs, the highest rate is █."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alexplore.presets.recipe import Recipe
from alexplore.runs.curves import Curve
from alexplore.tui.rate_line import rate_line

RECIPE = replace(Recipe(), epochs=7, lr=0.1, warmup_epochs=0.0)
COSINE = replace(RECIPE, schedule="cosine")
PLATEAU = replace(RECIPE, schedule="plateau", gamma=0.5, reductions=3)


def test_each_schedule_has_its_shape() -> None:
    """Half a cosine wave, as shares of its first value: 1, 0.90, 0.73, 0.51, 0.29, 0.11 and 0.01."""
    assert rate_line(replace(RECIPE, schedule="constant"), 1.0, Curve()) == "███████"
    assert rate_line(COSINE, 1.0, Curve()) == "█▇▆▅▃▂▁"
    steps = replace(RECIPE, schedule="step", step_epochs=4, gamma=0.5)
    assert rate_line(steps, 1.0, Curve()) == "████▅▅▅"
    warming = replace(RECIPE, schedule="constant", warmup_epochs=2.0)
    assert rate_line(warming, 1.0, Curve()) == "▃▆█████"


@pytest.mark.parametrize(("fraction", "at"), [(0.0, 0), (3 / 7, 3), (0.99, 7), (1.0, -1)])
def test_the_bar_is_at_the_present_place(fraction: float, at: int) -> None:
    assert rate_line(COSINE, fraction, Curve()).find("│") == at


def test_the_past_is_what_was_recorded() -> None:
    """The rate was half of today's until epoch 3."""
    recorded = Curve([0.1, 3.0], [0.05, 0.1], [0.0, 1.0])
    assert rate_line(replace(RECIPE, schedule="constant"), 3 / 7, recorded) == "▅▅▅│████"


def test_plateau_stays_where_it_is_now() -> None:
    """It was reduced once, to a half, in epoch 2."""
    recorded = Curve([0.1, 2.0, 3.0], [0.1, 0.05, 0.05], [0.0, 1.0, 2.0])
    assert rate_line(PLATEAU, 3 / 7, recorded) == "██▅│▅▅▅▅"


def test_rates_that_can_not_be_compared_are_drawn_lowest() -> None:
    recorded = Curve([0.1, 3.0], [float("nan"), 0.1], [0.0, 1.0])
    assert rate_line(replace(RECIPE, schedule="constant"), 3 / 7, recorded) == "▁▁▁│████"
