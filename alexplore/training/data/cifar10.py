"""CIFAR-10: its six batches of images, in a folder or in an archive."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import torch

from alexplore.core.regular_files import open_regular
from alexplore.runs.image_layout import DataError
from alexplore.training.data.cache import Arrays
from alexplore.training.data.download import download_with_torchvision
from alexplore.training.data.published import Download, Files, PublishedDataset

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"


def find(folder: Path) -> Files:
    """Return the folder of batches, or else the archive that contains it, where torchvision puts them."""
    for place in (folder, folder / "cifar10"):
        for batches in (place / FOLDER, place):
            if (batches / "data_batch_1").is_file():
                return {FOLDER: batches}
        if (place / ARCHIVE).is_file():
            return {ARCHIVE: place / ARCHIVE}
    return {}


def unpack(files: Files, work: Path) -> None:
    """Check the files, and write or link them to `work` as torchvision expects them.

    Raises:
        DataError: one of them is damaged or missing, or can't be read.
    """
    from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]

    if archive := files.get(ARCHIVE):
        _check(archive, CIFAR10.tgz_md5)
        with tarfile.open(archive) as packed:
            packed.extractall(work, filter="data")
    elif files[FOLDER] != work / FOLDER:
        (work / FOLDER).symlink_to(files[FOLDER].resolve())
    for name, digest in (*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])):
        _check((files.get(FOLDER) or work / FOLDER) / name, digest)


def read(work: Path) -> Arrays:
    """Read the images and labels that `unpack` has written."""
    from torchvision.datasets import CIFAR10

    arrays = {}
    for part, train in (("train", True), ("val", False)):
        split = CIFAR10(work, train=train)
        arrays[f"{part}_images"] = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
        arrays[f"{part}_labels"] = torch.tensor(split.targets)
    return arrays


def _check(path: Path, digest: str) -> None:
    try:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from None
    if found != digest:
        raise DataError(f"{path} is damaged: its checksum is wrong")


CIFAR_10 = PublishedDataset(
    name="cifar10",
    find=find,
    unpack=unpack,
    read=read,
    downloads=(
        Download("torchvision's download", lambda folder, report: download_with_torchvision("CIFAR10", folder, report)),
    ),
)
