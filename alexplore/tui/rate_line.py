"""The learning rate over a training as a line of block characters."""

from __future__ import annotations

from bisect import bisect_right
from math import isfinite

from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import SCHEDULES, learning_rate
from alexplore.render.bars import bar
from alexplore.runs.curves import Curve

CELLS = 7  # with the bar what the pane has room for beside the longest name of a setting
PRESENT = "│"
STEPS = 1000  # in an epoch: fine enough for `CELLS`, whatever the number of the run's own steps


def rate_line(recipe: Recipe, fraction: float, recorded: Curve) -> str:
    """Return the learning rate over all epochs, such as `▃█│▇▆▄▂▁`; the bar is at the present place.

    Args:
        recipe: Its schedule gives the rates from now on.
        fraction: The share of the training that is done, from 0 to 1; the bar is left out at 1.
        recorded: The rates so far, which may have been changed while the run was trained.
    """
    present = fraction * recipe.epochs
    reductions = _reductions(recipe, recorded)
    rates = []
    for cell in range(CELLS):
        epoch = (cell + 0.5) / CELLS * recipe.epochs
        if epoch <= present and (index := bisect_right(recorded.epochs, epoch)):
            rates.append(recorded.values[index - 1])
        else:
            rates.append(learning_rate(recipe, int(epoch * STEPS), STEPS, reductions))
    top = max((rate for rate in rates if isfinite(rate)), default=0.0)
    blocks = "".join(_block(rate, top) for rate in rates)
    at = round(fraction * CELLS)
    return blocks if fraction >= 1 else f"{blocks[:at]}{PRESENT}{blocks[at:]}"


def _reductions(recipe: Recipe, recorded: Curve) -> int:
    """Return how often `plateau` has reduced the rate, by the last recorded one; 0 under other schedules."""
    warmed_up = recorded.epochs and recorded.epochs[-1] > recipe.warmup_epochs
    if "reductions" not in SCHEDULES[recipe.schedule].settings or not warmed_up:
        return 0
    counts = range(recipe.reductions + 1)
    return min(counts, key=lambda count: abs(recipe.lr * recipe.gamma**count - recorded.values[-1]))


def _block(rate: float, top: float) -> str:
    share = rate / top if top > 0 and isfinite(rate) else 0.0
    return bar(share)
