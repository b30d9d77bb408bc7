"""Keeping numbers that are not finite away from the weights, without waiting for the device at any step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from alexplore.training.optim import update

FIRST_SCALE = 2.0**16
GROWTH_STEPS = 2000
LARGEST_SCALE = 2.0**24  # far from infinity, from which no halving comes back


class Guard:
    """Runs the backward pass and the optimizer, which does nothing from the first step on that is not finite.

    The decision stays on the device: a fused optimizer leaves everything as it is where its `found_inf` is 1, as it
    does under PyTorch's `GradScaler`. Under fp16, losses are scaled as `GradScaler` scales them, and a step whose
    gradients overflow is left out and the scale halved; only overflow without a scale ends the run.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        device: torch.device,
        *,
        scaled: bool = False,
        agree: Callable[[Tensor], Tensor] = lambda flag: flag,
    ) -> None:
        """`agree` makes a flag the same on all ranks, where their gradients aren't the same anyway."""
        self._optimizer = optimizer
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._agree = agree
        self._scaled = scaled
        self._scale = torch.full((), FIRST_SCALE if scaled else 1.0, device=device)
        self._calm = torch.zeros((), device=device)  # steps since the scale changed
        self._broken = torch.zeros((), device=device)

    def step(self, loss: Tensor, share: float) -> Tensor:
        """One update by the gradient of `loss` × `share`; 1 on the device if the run is broken at or before it.

        A loss that is not finite makes the last layer's gradients NaN: all ranks that share gradients see it.
        """
        self._optimizer.zero_grad()
        torch.autograd.backward(loss, torch.where(loss.isfinite(), share, math.nan).to(loss) * self._scale)
        # One value that is not finite makes its sum so; a sum is a tenth of the work of a largest or a norm on a CPU.
        sums = torch.stack([p.grad.sum() for p in self._parameters if p.grad is not None])
        bad = self._agree((~sums.isfinite().all()).float())
        if self._scaled:
            self._broken = torch.maximum(self._broken, bad * (self._scale <= 1))
            self._update(torch.maximum(self._broken, bad))
            self._rescale(bad)
        else:
            self._broken = torch.maximum(self._broken, bad)
            self._update(self._broken)
        return self._broken

    def _update(self, skip: Tensor) -> None:
        optimizer: Any = self._optimizer
        optimizer.found_inf = skip
        if self._scaled:
            optimizer.grad_scale = self._scale
        update(optimizer)

    def _rescale(self, bad: Tensor) -> None:
        self._calm = (self._calm + 1) * (1 - bad)
        grown = torch.where(self._calm >= GROWTH_STEPS, (self._scale * 2).clamp(max=LARGEST_SCALE), self._scale)
        self._calm = self._calm * (self._calm < GROWTH_STEPS)
        self._scale = torch.where(bad > 0, (self._scale / 2).clamp(min=1), grown)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs."""
        return {"scale": self._scale, "calm": self._calm}

    def load(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`; a scale from another precision is not taken."""
        if self._scaled and float(state["scale"]) != 1:
            self._scale, self._calm = state["scale"].to(self._scale), state["calm"].to(self._calm)
