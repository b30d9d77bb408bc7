"""What a data set is to training: two splits of labelled 8-bit images, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from alexplore.core.errors import AlexploreError

STATISTICS_PIXELS = 2**26  # all of CIFAR-10 or Fashion-MNIST; 1,024 images of 256×256


class DataError(AlexploreError):
    """A data set that can't be found, read or used; the message says what was tried and what to do."""


def left_out(path: str, reason: str) -> str:
    """What is said of a damaged image."""
    return f"{path} is damaged and is left out: {reason}"


class Split(Protocol):
    """Labelled images, in an order that whoever reads them chooses."""

    labels: Tensor
    """int64 on the CPU, one for every image."""

    damaged: dict[str, str]
    """Paths of the images that could not be read so far, with the reasons."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The images of `order` (int64 indices on the CPU), `batch_size` at a time, from batch number `skip` on.

        Yields uint8 images (N, C, H, W), channels last in memory, and int64 labels (N,), both on the device. The last
        batch may be short; any batch is shorter by the images that could not be read, down to none at all.
        """
        ...


class Resident:
    """A split that sits on the device as a whole: no batch waits for anything."""

    def __init__(self, images: Tensor, labels: Tensor, device: torch.device) -> None:
        """Take uint8 images (N, C, H, W) and int64 labels (N,) to the device."""
        self.labels = labels
        self.damaged: dict[str, str] = {}
        self._labels = labels.to(device)
        self._rows = images.permute(0, 2, 3, 1).contiguous().to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`; every batch but the last is full."""
        order = order[skip * batch_size :].to(self._labels.device, non_blocking=True)
        for chosen in torch.split(order, batch_size):
            if len(chosen):
                yield self._rows[chosen].permute(0, 3, 1, 2), self._labels[chosen]


@dataclass(frozen=True)
class Dataset:
    """A data set; `mean` and `std` of its pixels, channel by channel, where black is 0 and white is 1.

    `size` is the height and width of its images as the splits give them.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    val: Split
    synthetic: bool = False
    size: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All but the images, as JSON holds it: what treating one more image alike takes."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "synthetic": self.synthetic,
            "size": list(self.size) if self.size else None,
        }


def read_dataset(values: Mapping[str, Any]) -> Dataset:
    """The inverse of `Dataset.to_dict`, its splits empty."""
    size = tuple(values["size"]) if values["size"] else None
    nothing = Resident(
        torch.empty(0, values["channels"], *(size or (0, 0)), dtype=torch.uint8),
        torch.empty(0, dtype=torch.int64),
        torch.device("cpu"),
    )
    return Dataset(
        values["name"],
        tuple(values["classes"]),
        values["channels"],
        tuple(values["mean"]),
        tuple(values["std"]),
        nothing,
        nothing,
        values["synthetic"],
        size,
    )


def balanced(labels: Tensor, limit: int | None) -> Tensor:
    """Indices of the first `limit` images taken from the classes in turn, in rising order; all without a limit.

    Class counts differ by at most 1 as long as no class runs out.
    """
    if limit is None or limit >= len(labels):
        return torch.arange(len(labels))
    by_class = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    starts = torch.cumsum(counts, 0) - counts
    turn = torch.empty_like(labels)
    turn[by_class] = torch.arange(len(labels)) - starts[labels[by_class]]
    return torch.argsort(turn * len(counts) + labels)[:limit].sort().values


def pixel_statistics(split: Split) -> tuple[Tensor, Tensor]:
    """The mean (C,) and the covariance (C, C) of a split's pixels between 0 and 1, in float64 on the CPU.

    Of all its images where those come to at most `STATISTICS_PIXELS`, else of as many, evenly spaced.

    Raises:
        DataError: there is no image that can be read.
    """
    channels, height, width = next(split.batches(torch.arange(1), 1))[0].shape[1:]
    count = max(1, min(len(split), STATISTICS_PIXELS // (height * width)))
    order = torch.arange(count) * len(split) // count
    pixels = 0
    total = torch.zeros(channels, dtype=torch.float64)
    products = torch.zeros(channels, channels, dtype=torch.float64)
    for images, _ in split.batches(order, 256):
        values = images.permute(0, 2, 3, 1).reshape(-1, channels).cpu().double() / 255
        pixels += len(values)
        total += values.sum(0)
        products += values.T @ values
    if not pixels:
        raise DataError(f"none of {count:,} training images could be read")
    mean = total / pixels
    return mean, products / pixels - torch.outer(mean, mean)
