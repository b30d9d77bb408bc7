"""Seeds that depend on the position in the training."""

from __future__ import annotations

from alexplore.training.randomness import seed_for


def test_seeds_differ_by_purpose_and_position() -> None:
    seeds = [seed_for(s, p, a, b) for s in (0, 1) for p in ("images", "dropout") for a in range(5) for b in range(5)]
    assert len(set(seeds)) == len(seeds)
    assert seed_for(0, "x", 1, 11) != seed_for(0, "x", 11, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)
