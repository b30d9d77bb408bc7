"""CIFAR-10 and CIFAR-100: batches of images, in a folder or in an archive."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from alexplore.runs.data import checksummed_files
from alexplore.runs.data.checksummed_files import ChecksummedFiles
from alexplore.runs.data.dataset_files import Files
from alexplore.training.data.cache import Arrays
from alexplore.training.data.download import download_with_torchvision
from alexplore.training.data.published import Download, PublishedDataset


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets."""

    files: ChecksummedFiles

    torchvision: str
    """The class that downloads and reads it."""

    @property
    def folder(self) -> str:
        """The folder in which torchvision expects the batches, which is the one in the archive."""
        return self.files.places[0]

    def torch_class(self) -> Any:
        """Return torchvision's class, whose import takes a while."""
        from torchvision import datasets  # type: ignore[import-untyped]

        return getattr(datasets, self.torchvision)


def unpack(cifar: Cifar, files: Files, work: Path) -> bool:
    """Check the files, and write or link them to `work` as torchvision expects them; return True.

    Raises:
        DataError: one of them is damaged or missing, or can't be read.
    """
    checksummed_files.check(cifar.files, files)
    batches = work / cifar.folder
    if cifar.files.archive in files:
        with tarfile.open(files[cifar.files.archive]) as packed:
            packed.extractall(work, filter="data")
        checksummed_files.check(cifar.files, {name: batches / name for name in cifar.files.files})
    else:
        (folder,) = {path.parent for path in files.values()}
        batches.symlink_to(folder.resolve())
    return True


def read(cifar: Cifar, work: Path) -> Arrays:
    """Read the images and labels that `unpack` has written."""
    arrays = {}
    for part, train in (("train", True), ("val", False)):
        split = cifar.torch_class()(work, train=train)
        arrays[f"{part}_images"] = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
        arrays[f"{part}_labels"] = torch.tensor(split.targets)
    return arrays


def _published(cifar: Cifar) -> PublishedDataset:
    return PublishedDataset(
        name=cifar.files.name,
        unpack=partial(unpack, cifar),
        read=partial(read, cifar),
        downloads=(
            Download(
                "torchvision's download",
                lambda folder, report: download_with_torchvision(cifar.torchvision, folder, report),
            ),
        ),
    )


CIFAR_10 = _published(Cifar(checksummed_files.CIFAR_10, "CIFAR10"))
CIFAR_100 = _published(Cifar(checksummed_files.CIFAR_100, "CIFAR100"))
