"""MNIST and its kin: four IDX files each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from alexplore.presets.datasets import DATASETS, PublishedImages
from alexplore.runs.image_layout import DataError
from alexplore.training.data.cache import Arrays
from alexplore.training.data.download import download_with_torchvision
from alexplore.training.data.idx import (
    CONTENTS,
    idx_shape,
    known_as,
    md5,
    other_text,
    parse_idx,
    read_file,
)
from alexplore.training.data.published import Download, Files, PublishedDataset

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class IdxDataset:
    """A data set of four IDX files: training images and labels, test images and labels."""

    name: str
    """In `DATASETS`."""

    torchvision: str
    """The class that downloads it."""

    files: tuple[str, ...] = MNIST_FILES
    options: Mapping[str, Any] = field(default_factory=dict)

    first_label: int = 0
    """The label of the first class in the files."""

    transposed: bool = False
    """Whether rows and columns of the images are exchanged in the files."""

    @property
    def images(self) -> PublishedImages:
        """Return what is known about the images."""
        images = DATASETS[self.name].images
        assert images is not None
        return images

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the four files."""
        train, val, size = self.images.train, self.images.val, self.images.size
        return (train, *size), (train,), (val, *size), (val,)


def find(data: IdxDataset, folder: Path) -> Files:
    """Return the four files in a folder, compressed or not, where torchvision or the authors put them.

    Raises:
        DataError: some of them are missing.
    """
    for layout in (".", f"{data.torchvision}/raw", "raw", "gzip"):
        place = folder / layout
        found = {}
        for name in data.files:
            for path in (place / f"{name}.gz", place / name):
                if path.is_file():
                    found[name] = path
                    break
        if found and len(found) < len(data.files):
            missing = [f"{name}.gz" for name in data.files if name not in found]
            raise DataError(f"{place} contains only a part of {data.name}: {', '.join(missing)} missing")
        if found:
            return found
    return {}


def unpack(data: IdxDataset, files: Files, work: Path) -> bool:
    """Check the files, and write them to `work`; return whether the checksums of all are known.

    A file without a known checksum is accepted if it has the right shape and is not known to be another data set's.

    Raises:
        DataError: one of them is damaged, of another data set, or can't be read.
    """
    title, all_known = DATASETS[data.name].title, True
    for name, shape in zip(data.files, data.shapes(), strict=True):
        size = 4 + 4 * len(shape) + torch.Size(shape).numel()
        content, digest = read_file(files[name], size)
        found = known_as(md5(content), digest)
        is_whole = len(content) == size and idx_shape(content) == shape
        may_be = found is None and data.name not in CONTENTS
        if not (is_whole and (found == data.name or may_be)):
            raise DataError(other_text(files[name], title, content, size, digest))
        (work / name).write_bytes(content)
        all_known = all_known and found == data.name
    return all_known


def read(data: IdxDataset, work: Path) -> Arrays:
    """Read the images and labels that `unpack` has written: uint8 (N, 1, H, W) and int64 (N,).

    Raises:
        DataError: a label is of no class.
    """
    arrays = {}
    for part, (images, labels) in zip(("train", "val"), (data.files[:2], data.files[2:]), strict=True):
        pixels = parse_idx((work / images).read_bytes()).unsqueeze(1)
        arrays[f"{part}_images"] = pixels.transpose(2, 3).contiguous() if data.transposed else pixels
        numbers = parse_idx((work / labels).read_bytes()).to(torch.int64) - data.first_label
        if not 0 <= int(numbers.min()) <= int(numbers.max()) < len(data.images.classes):
            raise DataError(f"{labels}: has labels that are none of {data.name}'s {len(data.images.classes)} classes")
        arrays[f"{part}_labels"] = numbers
    return arrays


def _published(data: IdxDataset) -> PublishedDataset:
    def fetch(folder: Path, report: Any) -> Path:
        return download_with_torchvision(data.torchvision, folder, report, data.options)

    return PublishedDataset(
        name=data.name,
        find=partial(find, data),
        unpack=partial(unpack, data),
        read=partial(read, data),
        downloads=(Download("torchvision's download", fetch),),
    )


def _emnist(split: str, first_label: int = 0) -> IdxDataset:
    """Return a part of EMNIST, whose files hold the images with rows and columns exchanged (Cohen et al. 2017)."""
    files = tuple(
        f"emnist-{split}-{part}-{what}-ubyte" for part in ("train", "test") for what in ("images-idx3", "labels-idx1")
    )
    return IdxDataset(f"emnist-{split}", "EMNIST", files, {"split": split}, first_label, transposed=True)


MNIST_KIN = tuple(
    map(
        _published,
        (
            IdxDataset("mnist", "MNIST"),
            IdxDataset("kmnist", "KMNIST"),
            _emnist("balanced"),
            _emnist("digits"),
            _emnist("letters", first_label=1),
        ),
    )
)
