"""Packed images as a split: read from memory-mapped shards, one batch ahead of the training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexplore.runs.data.packed_images import CHANNELS, Packed
from alexplore.training.transfer import to_device

AHEAD = 2
"""Batches that are read before they are needed."""

LUMA = (0.299, 0.587, 0.114)
"""Red, green and blue in grey. Source: ITU-R BT.601, as in Pillow's conversion."""


class PackedSplit:
    """A split of packed images, which yields them in the size that they were packed in."""

    def __init__(
        self,
        packed: Packed,
        paths: Sequence[str],
        labels: Tensor,
        rows: Tensor,
        channels: int,
        device: torch.device,
    ) -> None:
        """`rows` are the places of the images among all packed ones, int64 (N,); with one channel they become grey."""
        self.labels = labels
        self.damaged: dict[str, str] = {}
        self._packed, self._paths, self._rows = packed, paths, rows
        self._channels, self._device = channels, device
        self._starts = torch.tensor([0, *accumulate(shard.images for shard in packed.shards)])
        self._shards: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def folder(self) -> Path:
        """The folder of the shards."""
        return self._packed.folder

    def path(self, index: int) -> str:
        """See `Split.path`: where it was in the image folder, below the folder of the shards."""
        return str(self.folder / self._paths[index])

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`."""
        chunks = [chunk for chunk in torch.split(order[skip * batch_size :], batch_size) if len(chunk)]
        with ThreadPoolExecutor(1) as reader:
            waiting: list[Future[Tensor]] = []
            try:
                for number, chunk in enumerate(chunks):
                    while len(waiting) <= AHEAD and number + len(waiting) < len(chunks):
                        waiting.append(reader.submit(self._read, chunks[number + len(waiting)]))
                    images = waiting.pop(0).result()
                    yield (
                        self._in_channels(to_device(images, self._device)).permute(0, 3, 1, 2),
                        to_device(self.labels[chunk], self._device),
                    )
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, indices: Tensor) -> Tensor:
        """Return images (N, H, W, 3), in pinned memory for a GPU."""
        side, rows = self._packed.side, self._rows[indices]
        pinned = self._device.type == "cuda"
        images = torch.empty(len(indices), side, side, CHANNELS, dtype=torch.uint8, pin_memory=pinned)
        shards = torch.bucketize(rows, self._starts, right=True) - 1
        places = rows - self._starts[shards]
        for image, shard, place in zip(images, shards.tolist(), places.tolist(), strict=True):
            image.copy_(self._shard(shard)[place])
        return images

    def _shard(self, number: int) -> Tensor:
        """Return a shard (N, H, W, 3), mapped into memory."""
        if number not in self._shards:
            side, count = self._packed.side, self._packed.shards[number].images
            file: Any = os.fsencode(self._packed.shard_file(number))  # a str would have to be UTF-8
            # numpy.memmap would keep a file descriptor for each shard, and there may be more than a process may have
            values = torch.from_file(file, size=count * self._packed.image_bytes, dtype=torch.uint8)
            self._shards[number] = values.view(count, side, side, CHANNELS)
        return self._shards[number]

    def _in_channels(self, images: Tensor) -> Tensor:
        if self._channels == CHANNELS:
            return images
        grey = images.to(torch.float32) @ to_device(torch.tensor(LUMA), self._device)
        return grey.round().to(torch.uint8).unsqueeze(-1)
