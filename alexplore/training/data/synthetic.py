"""Images drawn from class-dependent patterns: data that needs no files, to rehearse training with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 32  # pixels a side; larger inputs are resized to
PATTERN = 4  # cells a side of a class's pattern
SHIFT = 2  # pixels that a pattern is moved by at most
SEED = 2012


def synthetic_split(classes: int, channels: int, size: tuple[int, int], count: int, part: int) -> tuple[Tensor, Tensor]:
    """`count` uint8 images (count, channels, *size) and their labels (count,), the classes in turn.

    Each class has a smooth pattern of random colours; an image is that pattern, moved a little, at a contrast of its
    own, under noise. Equal arguments draw equal images; `part` tells training from validation, whose patterns are
    the same.
    """
    height, width = size
    generator = torch.Generator().manual_seed(SEED)
    patterns = torch.rand(classes, channels, PATTERN, PATTERN, generator=generator) - 0.5
    patterns = F.interpolate(patterns, size=(height + 2 * SHIFT, width + 2 * SHIFT), mode="bilinear")
    generator.manual_seed(SEED + 1 + part)
    labels = torch.arange(count) % classes
    images = torch.empty(count, channels, height, width, dtype=torch.uint8)
    for chosen in torch.split(torch.arange(count), 1024):
        n = len(chosen)
        top, left = (torch.randint(2 * SHIFT + 1, (n, 1), generator=generator) for _ in range(2))
        down, across = top + torch.arange(height), left + torch.arange(width)
        moved = patterns.permute(0, 2, 3, 1)[labels[chosen][:, None, None], down[:, :, None], across[:, None, :]]
        contrast = 0.5 + torch.rand(n, 1, 1, 1, generator=generator)
        noise = 0.15 * torch.randn(n, channels, height, width, generator=generator)
        images[chosen] = ((0.5 + contrast * moved.permute(0, 3, 1, 2) + noise) * 256).clamp(0, 255).to(torch.uint8)
    return images, labels
