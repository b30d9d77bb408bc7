"""The schedules of the learning rate: which settings each uses, and the rate at every step.

To add one: an entry in `SCHEDULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Protocol

    class ScheduleSettings(Protocol):
        """The settings of a recipe that the learning rate depends on; see `Recipe`."""

        @property
        def lr(self) -> float: ...
        @property
        def epochs(self) -> int: ...
        @property
        def schedule(self) -> str: ...
        @property
        def warmup_epochs(self) -> float: ...
        @property
        def step_epochs(self) -> int: ...
        @property
        def gamma(self) -> float: ...
        @property
        def patience(self) -> int: ...
        @property
        def reductions(self) -> int: ...
        @property
        def swa_epochs(self) -> int | None: ...
        @property
        def swa_lr(self) -> float: ...


class Position(NamedTuple):
    """A step of a training: its number from 0, the steps in an epoch, in the warm-up and in all epochs.

    `reductions` counts how often the schedule `plateau` has reduced the rate.
    """

    step: int
    steps_per_epoch: int
    warmup_steps: int
    total_steps: int
    reductions: int


class Schedule(NamedTuple):
    """What recipes, forms and training need to know about a schedule."""

    name: str
    title: str

    settings: tuple[str, ...]
    """The keys of a recipe that it uses, besides `lr` and `epochs`."""

    factor: Callable[[Position, ScheduleSettings], float]
    """Returns the learning rate at a step after the warm-up as a multiple of `lr`."""


def _constant(_: Position, __: ScheduleSettings) -> float:
    return 1.0


def _step(at: Position, recipe: ScheduleSettings) -> float:
    return recipe.gamma ** (at.step // (recipe.step_epochs * at.steps_per_epoch))


def _plateau(at: Position, recipe: ScheduleSettings) -> float:
    return recipe.gamma**at.reductions


def _cosine(at: Position, _: ScheduleSettings) -> float:
    """Loshchilov & Hutter, "SGDR", 2017, equation 5: one cycle, from the end of the warm-up to the end of training."""
    done = (at.step - at.warmup_steps) / max(1, at.total_steps - at.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


SCHEDULES = {
    schedule.name: schedule
    for schedule in (
        Schedule("constant", "the same rate throughout", ("warmup_epochs",), _constant),
        Schedule("step", "reduced every few epochs", ("warmup_epochs", "step_epochs", "gamma"), _step),
        Schedule(
            "plateau",
            "reduced when the validation error stops falling",
            ("warmup_epochs", "gamma", "patience", "reductions"),
            _plateau,
        ),
        Schedule("cosine", "half a cosine wave down to 0", ("warmup_epochs",), _cosine),
    )
}
"""Every schedule by its name in a recipe."""


def learning_rate(recipe: ScheduleSettings, step: int, steps_per_epoch: int, reductions: int = 0) -> float:
    """Return the learning rate of a step, counted from 0; `reductions` is how often `plateau` has reduced it.

    During the warm-up it rises linearly and reaches `lr` at the last warm-up step; then the schedule applies. In the
    epochs whose weights are averaged it is constant. Source of that: Izmailov et al., "Averaging weights leads to wider
    optima and better generalization", UAI 2018, algorithm 1 with cycles of one epoch.
    """
    warmup_steps = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return recipe.lr * (step + 1) / warmup_steps
    if recipe.swa_epochs is not None and step >= (recipe.epochs - recipe.swa_epochs) * steps_per_epoch:
        return recipe.lr * recipe.swa_lr
    at = Position(step, steps_per_epoch, warmup_steps, recipe.epochs * steps_per_epoch, reductions)
    return recipe.lr * SCHEDULES[recipe.schedule].factor(at, recipe)
