"""Weight averaging: an average of the trained weights is evaluated and saved."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from alexplore.core.settings import found_text
from alexplore.presets.recipe import Recipe
from alexplore.runs.protocol import is_step

Weights = dict[str, Tensor]

TRAINED = "trained_weights"
"""The key in state.pt of the weights that are trained, where the checkpoint's weights are their average."""

AVERAGED = "averaged_epochs"
"""The key in state.pt of how many epochs are averaged, and of the step at which the last one was added."""

RAMP_STEPS = 9


def decay_at(step: int, decay: float) -> float:
    """Return the share of the average that is kept at update number `step`, counted from 0.

    It rises from 0, so that the average forgets the initial weights, as min(decay, (1 + n) / (10 + n)) with the number
    n of averaged updates before this one. Source: TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """
    return min(decay, step / (step + RAMP_STEPS))


class Averaging(Protocol):
    """Which weights are evaluated and saved."""

    evaluated: nn.Module
    """The model with those weights."""

    def update(self, step: int) -> None:
        """Average the weights after update number `step`, counted from 0. Nothing is read from the device."""
        ...

    def end_epoch(self, step: int, left: int) -> bool:
        """Average the weights at the end of an epoch, after `step` updates; `left` epochs follow.

        Returns whether the running statistics of the average's batch norms have to be estimated again.
        """
        ...

    def state(self, collect: Callable[[nn.Module], Weights]) -> dict[str, Any]:
        """Return a checkpoint's state in addition to the evaluated weights; `collect` returns a model's weights."""
        ...

    def load(self, weights: Weights, state: Mapping[str, Any], load: Callable[[nn.Module, Weights], None]) -> None:
        """Continue from the weights and the state of a checkpoint; `load` loads weights into a model."""
        ...


class NoAverage:
    """The weights that are trained are those that are evaluated and saved."""

    def __init__(self, model: nn.Module) -> None:
        self.evaluated = model

    def update(self, step: int) -> None:
        """Do nothing."""

    def end_epoch(self, step: int, left: int) -> bool:
        """Do nothing."""
        return False

    def state(self, _: Callable[[nn.Module], Weights]) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load(self, weights: Weights, _: Mapping[str, Any], load: Callable[[nn.Module, Weights], None]) -> None:
        """Continue with the weights of a checkpoint."""
        load(self.evaluated, weights)


class MovingAverage:
    """An exponential moving average of weights, and of the running statistics of batch norms with them."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self.evaluated = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """See `Averaging.update`. Counts, such as the batches that a batch norm has seen, are copied."""
        share = 1 - decay_at(step, self._decay)
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for average, value in zip(_tensors(self.evaluated), _tensors(self._model), strict=True):
            if value.is_floating_point():
                averaged.append(average)
                current.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averaged, current, share)

    def end_epoch(self, step: int, left: int) -> bool:
        """Do nothing: statistics are averaged as the weights are."""
        return False

    def state(self, collect: Callable[[nn.Module], Weights]) -> dict[str, Any]:
        """Return the weights that are trained; those that are averaged are the checkpoint's."""
        return {TRAINED: collect(self._model)}

    def load(self, weights: Weights, state: Mapping[str, Any], load: Callable[[nn.Module, Weights], None]) -> None:
        """Continue with the averaged and the trained weights of a checkpoint."""
        load(self._model, state[TRAINED])
        load(self.evaluated, weights)


class EpochAverage:
    """The mean of the weights at the ends of the last epochs: stochastic weight averaging.

    Before those epochs, and in the first of them, it is the weights as they are trained. Source: Izmailov et al.,
    "Averaging weights leads to wider optima and better generalization", UAI 2018.
    """

    def __init__(self, model: nn.Module, epochs: int) -> None:
        """Average the weights after each of the last `epochs` epochs of a training."""
        self._model, self._epochs = model, epochs
        self._averaged = 0  # epochs in the mean
        self._step = -1  # at which the last of them was added
        self.evaluated = copy.deepcopy(model).requires_grad_(False)

    def update(self, step: int) -> None:
        """See `Averaging.update`."""
        if not self._averaged:
            self._copy()

    @torch.no_grad()
    def end_epoch(self, step: int, left: int) -> bool:
        """See `Averaging.end_epoch`. An epoch that a checkpoint's average already contains is not added again."""
        if left >= self._epochs:
            self._averaged = 0
            self._copy()
            return False
        if self._averaged and self._step == step:
            return False
        self._averaged, self._step = self._averaged + 1, step
        if self._averaged == 1:
            self._copy()
        else:
            averaged: list[Tensor] = list(self.evaluated.parameters())
            current: list[Tensor] = list(self._model.parameters())
            torch._foreach_lerp_(averaged, current, 1 / self._averaged)
        return True

    @torch.no_grad()
    def _copy(self) -> None:
        torch._foreach_copy_(_tensors(self.evaluated), _tensors(self._model))

    def state(self, collect: Callable[[nn.Module], Weights]) -> dict[str, Any]:
        """Return the weights that are trained, and which epochs are in the mean."""
        return {TRAINED: collect(self._model), AVERAGED: {"count": self._averaged, "step": self._step}}

    def load(self, weights: Weights, state: Mapping[str, Any], load: Callable[[nn.Module, Weights], None]) -> None:
        """Continue with the mean and the trained weights of a checkpoint.

        Raises:
            ValueError, KeyError, TypeError: the state contains something else.
        """
        count, step = state[AVERAGED]["count"], state[AVERAGED]["step"]
        if not is_step(count) or (count and not is_step(step)):
            raise ValueError(f"averaged epochs: found {found_text(count)} and {found_text(step)}")
        self._averaged, self._step = count, step
        load(self._model, state[TRAINED])
        load(self.evaluated, weights)


def make_averaging(model: nn.Module, recipe: Recipe) -> Averaging:
    """Return the average of a model's weights that a recipe asks for; the weights themselves if it asks for none."""
    if recipe.swa_epochs is not None:
        return EpochAverage(model, recipe.swa_epochs)
    return NoAverage(model) if recipe.ema_decay is None else MovingAverage(model, recipe.ema_decay)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
