"""The order of an epoch's training images: each image once, or all classes equally often."""

from __future__ import annotations

import torch
from torch import Tensor

from alexplore.presets.recipe import Recipe
from alexplore.training.randomness import seed_for


class Sampler:
    """The orders of a training's epochs, each a function of the seed and the epoch alone."""

    def __init__(self, recipe: Recipe, labels: Tensor) -> None:
        """`labels` are those of all training images, int64 (N,) on the CPU."""
        self._seed, self._balanced, self._labels = recipe.seed, recipe.balanced_sampling, labels
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def order(self, epoch: int) -> Tensor:
        """Return the indices of an epoch's images, as many as there are images, int64 on the CPU."""
        if epoch != self._epoch:
            order = balanced_order(self._seed, epoch, self._labels) if self._balanced else None
            self._order = epoch_order(self._seed, epoch, len(self._labels)) if order is None else order
            self._epoch = epoch
        return self._order


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """Return the order of an epoch's samples: a permutation of `count` indices, int64 on the CPU."""
    generator = torch.Generator().manual_seed(seed_for(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def balanced_order(seed: int, epoch: int, labels: Tensor) -> Tensor:
    """Return as many indices as there are labels, drawn with repetition: each class as likely as any other.

    That is the distribution of PyTorch's `WeightedRandomSampler` with weights of 1 / (number of images of the class):
    first a class is drawn, then one of its images.
    """
    generator = torch.Generator().manual_seed(seed_for(seed, "balanced order", epoch))
    by_class = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    starts = torch.cumsum(counts, 0) - counts
    present = counts.nonzero()[:, 0]
    drawn = present[torch.randint(len(present), (len(labels),), generator=generator)]
    places = torch.rand(len(labels), generator=generator, dtype=torch.float64) * counts[drawn]
    return by_class[starts[drawn] + places.long().clamp(max=counts[drawn] - 1)]
