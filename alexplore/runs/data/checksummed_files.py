"""Find and check the files of CIFAR-10, CIFAR-100 and SVHN, whose checksums are published. No torch.

The checksums are torchvision's: `tgz_md5`, `train_list`, `test_list`, `meta` and `split_list` of its classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alexplore.core.regular_files import open_regular
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.places import find_all


@dataclass(frozen=True)
class ChecksummedFiles:
    """The files of a published data set."""

    name: str
    """In `DATASETS`."""

    digests: Mapping[str, str]
    """The MD5 of each file, and of the archive, by its name."""

    places: tuple[str, ...]
    """Where the files may be, seen from the folder that a person names."""

    archive: str | None = None
    """The archive that they are published in, inside its folder `places[0]`; None if there is none."""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(name for name in self.digests if name != self.archive)


CIFAR_10 = ChecksummedFiles(
    "cifar10",
    {
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    places=("cifar-10-batches-py", ".", "cifar10/cifar-10-batches-py", "cifar10"),
    archive="cifar-10-python.tar.gz",
)

CIFAR_100 = ChecksummedFiles(
    "cifar100",
    {
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    places=("cifar-100-python", ".", "cifar100/cifar-100-python", "cifar100"),
    archive="cifar-100-python.tar.gz",
)

SVHN = ChecksummedFiles(
    "svhn",
    {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    },
    places=(".", "svhn", "SVHN"),
)


def find(data: ChecksummedFiles, folder: Path) -> dict[str, Path]:
    """Return the files in a folder by their names, or else the archive that contains them, by its name.

    It is empty if none of them is there.

    Raises:
        DataError: some of them are missing, and the archive is not there.
    """
    found, part = find_all(data.files, (folder / place for place in data.places))
    if not found and data.archive is not None:
        for path in (folder / data.archive, folder / data.name / data.archive):
            if path.is_file():
                return {data.archive: path}
    if part is not None:
        missing = ", ".join(part.missing)
        raise DataError(f"{part.place} contains only a part of the files of {data.name}: {missing} missing")
    return found


def check(data: ChecksummedFiles, files: Mapping[str, Path]) -> None:
    """Check the files, or the archive, that `find` has found.

    Raises:
        DataError: one of them is missing or damaged, or can't be read.
    """
    for name, path in files.items():
        check_md5(path, data.digests[name])


def check_md5(path: Path, digest: str) -> None:
    """Check a file against its MD5.

    Raises:
        DataError: it is missing or damaged, or can't be read.
    """
    try:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            size = file.tell()
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", failure=True) from None
    if found != digest:
        raise DataError(
            f"{path} is damaged or was changed: the MD5 of its {size:,} bytes is {found}, and that of the published "
            f"file is {digest}; download it again",
            failure=True,
        )
