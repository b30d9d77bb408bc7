"""CIFAR-10 and CIFAR-100: batches of images, in a folder or in an archive."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from alexplore.training.data.cache import Arrays
from alexplore.training.data.checksums import check_md5
from alexplore.training.data.download import download_with_torchvision
from alexplore.training.data.published import Download, Files, PublishedDataset


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets."""

    name: str
    """In `DATASETS`."""

    torchvision: str
    """The class that downloads and reads it."""

    folder: str
    archive: str

    batch: str
    """A file that the folder contains."""

    def torch_class(self) -> Any:
        """Return torchvision's class, whose import takes a while."""
        from torchvision import datasets  # type: ignore[import-untyped]

        return getattr(datasets, self.torchvision)


def find(cifar: Cifar, folder: Path) -> Files:
    """Return the folder of batches, or else the archive that contains it, where torchvision puts them."""
    for place in (folder, folder / cifar.name):
        for batches in (place / cifar.folder, place):
            if (batches / cifar.batch).is_file():
                return {cifar.folder: batches}
        if (place / cifar.archive).is_file():
            return {cifar.archive: place / cifar.archive}
    return {}


def unpack(cifar: Cifar, files: Files, work: Path) -> bool:
    """Check the files, and write or link them to `work` as torchvision expects them; return True.

    Raises:
        DataError: one of them is damaged or missing, or can't be read.
    """
    theirs = cifar.torch_class()
    if archive := files.get(cifar.archive):
        check_md5(archive, theirs.tgz_md5)
        with tarfile.open(archive) as packed:
            packed.extractall(work, filter="data")
    elif files[cifar.folder] != work / cifar.folder:
        (work / cifar.folder).symlink_to(files[cifar.folder].resolve())
    for name, digest in (*theirs.train_list, *theirs.test_list, (theirs.meta["filename"], theirs.meta["md5"])):
        check_md5((files.get(cifar.folder) or work / cifar.folder) / name, digest)
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
        name=cifar.name,
        find=partial(find, cifar),
        unpack=partial(unpack, cifar),
        read=partial(read, cifar),
        downloads=(
            Download(
                "torchvision's download",
                lambda folder, report: download_with_torchvision(cifar.torchvision, folder, report),
            ),
        ),
    )


CIFAR_10 = _published(Cifar("cifar10", "CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1"))
CIFAR_100 = _published(Cifar("cifar100", "CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz", "train"))
