"""The optimizers that a recipe can name: which settings each uses, and what it keeps in memory. No torch here.

To add one: an entry in `OPTIMIZERS`, and how PyTorch makes it in `FACTORIES` of `alexplore.training.optim`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from alexplore.network.memory import MOMENTUM, OptimizerState


class OptimizerSettings(Protocol):
    """The settings of a recipe on which the size of an optimizer's state depends."""

    @property
    def momentum(self) -> float:
        """Share of the last update that the next one repeats."""


class Optimizer(NamedTuple):
    """What recipes, forms and the memory estimate need to know about an optimizer."""

    name: str
    title: str

    settings: tuple[str, ...]
    """The keys of a recipe that it uses."""

    state: Callable[[OptimizerSettings], OptimizerState]
    """Returns what it keeps for each trainable parameter."""


def _sgd_state(recipe: OptimizerSettings) -> OptimizerState:
    return MOMENTUM if recipe.momentum else OptimizerState("sgd", 0, "sgd without momentum keeps nothing")


def _moments(name: str) -> Callable[[OptimizerSettings], OptimizerState]:
    return lambda _: OptimizerState(name, 2, "running means of gradients and their squares")


OPTIMIZERS = {
    optimizer.name: optimizer
    for optimizer in (
        Optimizer(
            "sgd",
            "stochastic gradient descent with momentum",
            ("lr", "momentum", "weight_decay", "bias_lr"),
            _sgd_state,
        ),
        Optimizer("adam", "Adam, with an L2 penalty", ("lr", "weight_decay", "bias_lr"), _moments("adam")),
        Optimizer("adamw", "Adam with decoupled weight decay", ("lr", "weight_decay", "bias_lr"), _moments("adamw")),
    )
}
"""Every optimizer by its name in a recipe."""
