"""Random numbers that depend only on the position in the training.

Each draw is seeded with a function of the run's seed and a position (epoch, step, rank). So no generator state has to
be saved, and a resumed run draws the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import hashlib

import torch


def seed_for(seed: int, purpose: str, *position: int) -> int:
    """Return a seed of 63 bits for a purpose, such as "dropout", at a position."""
    text = f"{seed} {purpose} {' '.join(map(str, position))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed PyTorch's generators of the CPU and of a device.

    `torch.manual_seed` also visits the other kinds of devices, which takes longer than launching many kernels.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)
