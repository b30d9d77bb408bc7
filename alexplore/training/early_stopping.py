"""Decide whether a checkpoint is the best so far, and whether a training ends because none was for many epochs."""

from __future__ import annotations

from alexplore.core.formatting import count_text
from alexplore.presets.recipe import Recipe
from alexplore.runs.metrics import METRICS


def is_better(recipe: Recipe, value: float, best: float | None) -> bool:
    """Return whether a value of the recipe's `monitor` is better than the best before it, None if there is none."""
    if best is None:
        return True
    return value > best if METRICS[recipe.monitor].higher_is_better else value < best


def why_stopped(recipe: Recipe, waited: int, best: float | None) -> str | None:
    """Return why a training ends, after `waited` epochs without a better value than `best`; None if it continues."""
    if recipe.early_stopping is None or waited < recipe.early_stopping:
        return None
    metric = METRICS[recipe.monitor]
    epochs = count_text(waited, "epoch")
    return f"stopped early: no better {metric.title} than {metric.number(best)} for {epochs}"
