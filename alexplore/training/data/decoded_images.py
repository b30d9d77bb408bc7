"""The decoded images of a split, kept in memory for later epochs if all of them have room."""

from __future__ import annotations

import os

import psutil
import torch
from torch import Tensor

MEMORY_SHARE = 0.25
"""Share of the free memory that the images of a split may take, those of all ranks on this machine together."""


def local_ranks() -> int:
    """Return the number of ranks on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def has_room(image_bytes: int) -> bool:
    """Return whether so many bytes of images may be kept in each of this machine's ranks."""
    return local_ranks() * image_bytes <= MEMORY_SHARE * psutil.virtual_memory().available


class DecodedImages:
    """Images by their index; those that were not decoded yet take no memory."""

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        """Make room for `count` images, each uint8 (H, W, C)."""
        self._rows = torch.empty(count, *shape, dtype=torch.uint8)
        self._kept = torch.zeros(count, dtype=torch.bool)
        self._tried = torch.zeros(count, dtype=torch.bool)

    def missing(self, indices: Tensor) -> Tensor:
        """Return those of the indices whose images were not decoded yet."""
        return indices[~self._tried[indices]]

    def add(self, images: Tensor, indices: Tensor, tried: Tensor) -> None:
        """Keep images (N, H, W, C) with their indices; of those that were tried, the others can't be read."""
        self._rows[indices] = images
        self._kept[indices] = True
        self._tried[tried] = True

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images (N, H, W, C) that can be read among those of the indices, and their indices (N,)."""
        readable = indices[self._kept[indices]]
        return self._rows.index_select(0, readable), readable
