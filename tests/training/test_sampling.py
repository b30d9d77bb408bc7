"""The orders of epochs."""

from __future__ import annotations

import torch
from torch.utils.data import WeightedRandomSampler

from alexplore.presets.recipe import Recipe
from alexplore.training.sampling import Sampler, balanced_order, epoch_order

COUNTS = (600, 0, 250, 50)
LABELS = torch.tensor([label for label, count in enumerate(COUNTS) for _ in range(count)])[torch.randperm(900)]


def test_an_epoch_has_every_image_once_unless_the_classes_are_balanced() -> None:
    order = Sampler(Recipe(), LABELS).order(0)
    assert order.sort().values.tolist() == list(range(900))


def test_order_depends_on_seed_and_epoch_only() -> None:
    assert torch.equal(epoch_order(1, 2, 50), epoch_order(1, 2, 50))
    assert not torch.equal(epoch_order(1, 2, 50), epoch_order(1, 3, 50))
    assert not torch.equal(epoch_order(1, 2, 50), epoch_order(2, 2, 50))
    assert epoch_order(1, 2, 50).sort().values.tolist() == list(range(50))


def test_a_balanced_order_depends_on_seed_and_epoch_alone() -> None:
    recipe = Recipe(balanced_sampling=True, seed=5)
    sampler = Sampler(recipe, LABELS)
    first = sampler.order(1).clone()
    assert not torch.equal(sampler.order(2), first)
    assert torch.equal(Sampler(recipe, LABELS).order(1), first)
    assert not torch.equal(balanced_order(6, 1, LABELS), first)


def test_a_balanced_order_has_the_distribution_of_a_weighted_sampler() -> None:
    """Images are drawn as often as PyTorch's sampler draws them, within 5 standard deviations of each count."""
    epochs = 200
    ours = torch.zeros(900)
    for epoch in range(epochs):
        order = balanced_order(0, epoch, LABELS)
        assert len(order) == 900
        ours += torch.bincount(order, minlength=900)
    weights = (1 / torch.tensor(COUNTS).float())[LABELS]
    expected = weights / weights.sum() * 900 * epochs
    assert bool(((ours - expected).abs() < 5 * expected.sqrt()).all())
    theirs = WeightedRandomSampler(weights.tolist(), 900 * epochs, generator=torch.Generator().manual_seed(1))
    drawn = torch.bincount(torch.tensor(list(theirs)), minlength=900)
    by_class = [torch.bincount(LABELS, counts, minlength=4) for counts in (ours, drawn.float())]
    assert torch.allclose(by_class[0], by_class[1], rtol=0.02)
