"""MNIST and the data sets in its format: four IDX files each."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexplore.presets.datasets import DATASETS
from alexplore.runs.data import idx_files
from alexplore.runs.data.dataset_files import Files
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.idx_files import IDX_DATASETS, IdxDataset, idx_shape
from alexplore.training.data.cache import Arrays
from alexplore.training.data.download import download_debian_package, download_with_torchvision
from alexplore.training.data.published import Download, PublishedDataset

(DEBIAN_FOLDER,) = DATASETS["fashion-mnist"].installed_in


def unpack(data: IdxDataset, files: Files, work: Path) -> bool:
    """Check the files, and write them to `work`; return whether the checksums of all are known.

    Raises:
        DataError: one of them is damaged, of another data set, or can't be read.
    """
    all_known = True
    for name, content, known in idx_files.read_files(data, files):
        (work / name).write_bytes(content)
        all_known = all_known and known
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


def parse_idx(content: bytes) -> Tensor:
    """Return the values of a whole IDX file of unsigned bytes."""
    shape = idx_shape(content)
    assert shape is not None
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=4 + 4 * len(shape)).view(shape)


def _published(data: IdxDataset, *downloads: Download) -> PublishedDataset:
    """Return how a data set is read; `downloads` are tried when torchvision's has failed."""

    def fetch(folder: Path, report: Any) -> Path:
        return download_with_torchvision(data.torchvision, folder, report, data.options)

    return PublishedDataset(
        name=data.name,
        unpack=partial(unpack, data),
        read=partial(read, data),
        downloads=(Download("torchvision's download", fetch), *downloads),
        installed_in=DATASETS[data.name].installed_in,
    )


DEBIAN = Download(
    "Debian's package dataset-fashion-mnist",
    lambda folder, report: download_debian_package("dataset-fashion-mnist", DEBIAN_FOLDER, folder, report),
)

MNIST_KIN = {name: _published(data, *[DEBIAN] * (name == "fashion-mnist")) for name, data in IDX_DATASETS.items()}
"""How each of them is read, by its name."""
