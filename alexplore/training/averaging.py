"""Weight averaging: what is evaluated and saved is an exponential moving average of the weights that are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]

TRAINED = "trained_weights"
"""The key in state.pt of the weights that are trained, where the checkpoint's weights are their average."""

RAMP_STEPS = 9


def decay_at(step: int, decay: float) -> float:
    """Return how much of the average stays after update number `step`, counted from 0.

    It rises from 0, so that the average forgets the initial weights, as min(decay, (1 + n) / (10 + n)) with the number
    n of averaged updates before this one. Source: TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """
    return min(decay, step / (step + RAMP_STEPS))


class Averaging(Protocol):
    """Which weights are evaluated and saved."""

    evaluated: nn.Module
    """The model with those weights."""

    def update(self, step: int) -> None:
        """Take in the weights after update number `step`, counted from 0. Nothing is read from the device."""
        ...

    def state(self, collect: Callable[[nn.Module], Weights]) -> dict[str, Weights]:
        """Return what a checkpoint contains besides the weights that are evaluated; `collect` returns a model's."""
        ...

    def load(self, weights: Weights, state: Mapping[str, Any], load: Callable[[nn.Module, Weights], None]) -> None:
        """Continue from a checkpoint: its weights, and what it contains besides; `load` loads weights into a model."""
        ...


class NoAverage:
    """The weights that are trained are those that are evaluated and saved."""

    def __init__(self, model: nn.Module) -> None:
        self.evaluated = model

    def update(self, step: int) -> None:
        """Do nothing."""

    def state(self, _: Callable[[nn.Module], Weights]) -> dict[str, Weights]:
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

    def state(self, collect: Callable[[nn.Module], Weights]) -> dict[str, Weights]:
        """Return the weights that are trained; those that are averaged are the checkpoint's."""
        return {TRAINED: collect(self._model)}

    def load(self, weights: Weights, state: Mapping[str, Any], load: Callable[[nn.Module, Weights], None]) -> None:
        """Continue with the averaged and the trained weights of a checkpoint."""
        load(self._model, state[TRAINED])
        load(self.evaluated, weights)


def make_averaging(model: nn.Module, decay: float | None) -> Averaging:
    """Return the average of a model's weights; the weights themselves if the recipe has no decay."""
    return NoAverage(model) if decay is None else MovingAverage(model, decay)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
