"""A data set as training sees it: two splits of labelled 8-bit images, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from alexplore.core.settings import Kind, flag, integer, list_schema, number, optional, read_value, text
from alexplore.network.graph import Network
from alexplore.runs.data.dataset_shapes import DatasetShape
from alexplore.runs.data.errors import DataError
from alexplore.runs.preflight import fit_problems
from alexplore.training.data.decoders import PILLOW
from alexplore.training.transfer import to_device

T = TypeVar("T")

Report = Callable[[str], None]
"""Takes a line of text: what opening a data set is doing, or a warning."""

STATISTICS_PIXELS = 2**26
"""The most pixels that statistics are calculated from: all of CIFAR-10 or Fashion-MNIST, or 1,024 images of 256×256."""


def damaged_text(path: str, reason: str) -> str:
    """Return the warning about an image that can't be read."""
    return f"{path} is damaged and is left out: {reason}"


class Split(Protocol):
    """Labelled images, read in whatever order the caller asks for."""

    labels: Tensor
    """int64 (N,) on the CPU."""

    damaged: dict[str, str]
    """Paths of the images that could not be read so far, each with the reason."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images of `order` (int64 indices on the CPU) in batches, without the first `skip` batches.

        A batch is uint8 images (N, C, H, W), channels last in memory, and int64 labels (N,), both on the device. The
        last batch may be shorter than `batch_size`; any batch is shorter by the images that could not be read, and may
        be empty.
        """
        ...

    def path(self, index: int) -> str | None:
        """Return the path of an image's file; None if one file contains several images."""
        ...


class ResidentSplit:
    """A split whose images are all on the device, so that batches need no loading."""

    def __init__(self, images: Tensor, labels: Tensor, device: torch.device) -> None:
        """Copy uint8 images (N, C, H, W) and int64 labels (N,) to the device."""
        self.labels = labels
        self.damaged: dict[str, str] = {}
        self._labels = labels.to(device)
        _, self._channels, *self._size = images.shape
        rows = images.permute(0, 2, 3, 1).flatten(1).to(device)
        # Eight values are indexed as one if an image has a multiple of eight, as most have.
        eights = rows.numel() > 0 and rows.shape[1] % 8 == 0 and rows.storage_offset() % 8 == 0
        self._rows = rows.contiguous().view(torch.int64) if eights else rows

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`; every batch but the last is full."""
        order = to_device(order[skip * batch_size :], self._labels.device)
        for chosen in torch.split(order, batch_size):
            if len(chosen):
                rows = self._rows[chosen].view(torch.uint8).view(len(chosen), *self._size, self._channels)
                yield rows.permute(0, 3, 1, 2), self._labels[chosen]

    def path(self, index: int) -> str | None:
        """See `Split.path`."""
        return None


def indices_read(split: Split, chosen: Tensor, count: int) -> Tensor:
    """Return the indices of the images in a batch of `count`, made of `chosen` without those that are damaged."""
    if count == len(chosen):
        return chosen
    return torch.tensor([index for index in chosen.tolist() if split.path(index) not in split.damaged])


@dataclass(frozen=True)
class Dataset:
    """A data set with its images."""

    name: str

    classes: tuple[str, ...]
    """Names of the classes, in the order of their labels."""

    channels: int

    mean: tuple[float, ...]
    """Mean of the pixels by channel, where black is 0 and white is 1."""

    std: tuple[float, ...]
    """Standard deviation of the pixels by channel."""

    train: Split
    val: Split
    synthetic: bool = False

    size: tuple[int, int] | None = None
    """Height and width of the images as the splits yield them."""

    held_out: tuple[str, ...] = ()
    """Paths, relative to the image folder, of validation images that were held out of its training images."""

    decoder: str = PILLOW
    """The decoder of its image files, and of other images for the network; see `decoders`."""

    notes: tuple[str, ...] = ()
    """Warnings about the data that was found."""

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of dataset.json: everything but the images.

        It is enough to treat another image alike, and to notice that the data has changed (see `runs.data.trained_on`).
        """
        return {
            "name": self.name,
            "classes": list(self.classes),
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "synthetic": self.synthetic,
            "size": list(self.size) if self.size else None,
            "train": len(self.train),
            "val": len(self.val),
            "held_out": list(self.held_out),
            "decoder": self.decoder,
        }


def read_dataset(values: Mapping[str, Any]) -> Dataset:
    """Return the data set that `to_dict` has converted to `values`, with empty splits.

    Raises:
        SettingError: a value is missing or not allowed.
    """
    size = _value(values, "size", optional(SIZE))
    name, classes = _value(values, "name", text()), _value(values, "classes", NAMES)
    channels = _value(values, "channels", integer(1))
    mean, std = (_value(values, key, statistics(channels)) for key in ("mean", "std"))
    empty = ResidentSplit(
        torch.empty(0, channels, *(size or (0, 0)), dtype=torch.uint8),
        torch.empty(0, dtype=torch.int64),
        torch.device("cpu"),
    )
    synthetic, decoder = (
        _value(values, "synthetic", flag()),
        read_value("decoder", text(), values.get("decoder", PILLOW)),
    )
    return Dataset(name, classes, channels, mean, std, empty, empty, synthetic, size, decoder=decoder)


def _value(values: Mapping[str, Any], key: str, kind: Kind[T]) -> T:
    return read_value(key, kind, values.get(key))


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError
    return tuple(value)


def _size(value: Any) -> tuple[int, int]:
    height, width = (integer(1).parse(side) for side in value)
    return height, width


NAMES = Kind("a list of names", _names, list_schema({"type": "string"}))
SIZE = Kind("[height, width]", _size, list_schema(integer(1).schema, 2, 2))


def statistics(channels: int) -> Kind[tuple[float, ...]]:
    """Return the kind of lists with a number from 0 to 1 for each channel."""

    def parse(value: Any) -> tuple[float, ...]:
        if len(value) != channels:
            raise ValueError
        return tuple(number(0, 1).parse(one) for one in value)

    return Kind(
        f"a list of {channels} numbers from 0 to 1", parse, list_schema(number(0, 1).schema, channels, channels)
    )


def check_fit(network: Network, shape: DatasetShape) -> None:
    """Check that a network can learn a data set.

    Raises:
        DataError: its input or its outputs don't fit; the message says what to set.
    """
    problems = list(fit_problems(network, shape))
    if problems:
        raise DataError("; and ".join(problem.message for problem in problems))


def choose_balanced(labels: Tensor, limit: int | None) -> Tensor:
    """Return the indices of `limit` images, in rising order; of all images without a limit.

    They are the first images of each class, taken from the classes in turn: the counts of two classes differ by at most
    1, as long as both have images left.
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
    """Return the mean (C,) and the covariance (C, C) of a split's pixels between 0 and 1, in float64 on the CPU.

    All images are used if they have at most `STATISTICS_PIXELS` pixels, else evenly spaced ones with that many.

    Raises:
        DataError: no image can be read.
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
        raise DataError(f"none of {count:,} training images could be read", failure=True)
    mean = total / pixels
    return mean, products / pixels - torch.outer(mean, mean)


LEAST_VARIANCE = 1e-9
"""Smaller ones are rounding, or less than one pixel of 15,000 that differs by one of 255 levels."""


def mean_and_std(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of a split's pixels by channel; see `pixel_statistics`.

    The deviation of a channel in which all pixels are equal is given as 1, so that it can be divided by.
    """
    mean, covariance = pixel_statistics(split)
    variance = covariance.diagonal()
    std = torch.where(variance > LEAST_VARIANCE, variance.clamp(min=0).sqrt(), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())
