"""Seeds and orders that depend on the position in the training."""

from __future__ import annotations

import torch

from alexplore.training.randomness import epoch_order, seed_for


def test_order_depends_on_seed_and_epoch_only() -> None:
    assert torch.equal(epoch_order(1, 2, 50), epoch_order(1, 2, 50))
    assert not torch.equal(epoch_order(1, 2, 50), epoch_order(1, 3, 50))
    assert not torch.equal(epoch_order(1, 2, 50), epoch_order(2, 2, 50))
    assert epoch_order(1, 2, 50).sort().values.tolist() == list(range(50))


def test_seeds_differ_by_purpose_and_position() -> None:
    seeds = [seed_for(s, p, a, b) for s in (0, 1) for p in ("images", "dropout") for a in range(5) for b in range(5)]
    assert len(set(seeds)) == len(seeds)
    assert seed_for(0, "x", 1, 11) != seed_for(0, "x", 11, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)
