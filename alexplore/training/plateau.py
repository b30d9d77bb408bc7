"""The state of the schedule `plateau`, which is updated after each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alexplore.presets.recipe import Recipe


@dataclass(frozen=True)
class Plateau:
    """The state of the plateau schedule."""

    smallest: float = math.inf
    """Smallest validation error, 1 − accuracy, of all epochs."""

    waited: int = 0
    """Epochs since then, or since the last reduction."""

    reductions: int = 0
    """How often the rate was reduced."""

    def after(self, error: float, recipe: Recipe) -> Plateau:
        """Return the state after one more epoch, with this validation error.

        The rate is reduced when more than `patience` epochs have brought no smaller error. Source: paper, section 5,
        with the patience of PyTorch's `ReduceLROnPlateau`.
        """
        if error < self.smallest:
            return replace(self, smallest=error, waited=0)
        if self.waited < recipe.patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, waited=0, reductions=min(self.reductions + 1, recipe.reductions))
