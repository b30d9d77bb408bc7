"""Weights of classes in the loss, as PyTorch's `CrossEntropyLoss(weight)` has them."""

from __future__ import annotations

import torch
from torch import Tensor

from alexplore.core.settings import SettingError
from alexplore.presets.recipe import BALANCED, Recipe
from alexplore.runs.preflight import class_weight_problems


def class_weights(recipe: Recipe, labels: Tensor, classes: int) -> Tensor | None:
    """Return the weight of each class, fp32 (classes,) on the CPU; None if the recipe sets none.

    With "balanced" it is images / (classes × images of the class), over the classes that have images among `labels`,
    int64 (N,): the weights of all images then add up to their number. Source: scikit-learn's `compute_class_weight`.

    Raises:
        SettingError: the recipe has another number of weights than there are classes.
    """
    if recipe.class_weights is None:
        return None
    if recipe.class_weights == BALANCED:
        counts = torch.bincount(labels, minlength=classes).double()
        present = (counts > 0).sum()
        return torch.where(counts > 0, len(labels) / (present * counts.clamp(min=1)), 1.0).float()
    for problem in class_weight_problems(recipe, classes):
        raise SettingError(problem.message)
    return torch.tensor(recipe.class_weights, dtype=torch.float32)


class LossDivisor:
    """The divisor of the summed loss of a batch: its number of images, or the sum of their weights.

    A batch's images are known on the CPU before they are read, so nothing is read from the device.
    """

    def __init__(self, weights: Tensor | None, labels: Tensor) -> None:
        """`weights` (classes,) and `labels` (N,), those of all training images, are on the CPU."""
        self._weights = None if weights is None else weights.double()[labels]

    def of(self, images: Tensor) -> float:
        """Return the divisor for the images of a batch, over all ranks; `images` are their indices."""
        return len(images) if self._weights is None else float(self._weights[images].sum())
