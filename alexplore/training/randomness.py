"""Random numbers that depend on where training is, not on how it got there.

Every draw is made from a seed that is a function of the run's seed and the position (epoch, step, rank). So there is no
generator to save, and a resumed run draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def seed_for(seed: int, purpose: str, *position: int) -> int:
    """A seed of 63 bits for one purpose at one position."""
    text = f"{seed} {purpose} {' '.join(map(str, position))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which the samples of an epoch are seen: int64, on the CPU."""
    generator = torch.Generator().manual_seed(seed_for(seed, "order", epoch))
    return torch.randperm(count, generator=generator)
