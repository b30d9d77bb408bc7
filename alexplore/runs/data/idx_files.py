"""Check the IDX files of MNIST and similar data sets, and recognise another data set's files. No torch.

An IDX file of unsigned bytes has two zeros, the type (8), the number of dimensions, each size, then the values. Sizes
are 32-bit integers, the most significant byte first. Source: "The IDX file format" on the MNIST page.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alexplore.core.regular_files import open_regular
from alexplore.presets.datasets import DATASETS, PublishedImages
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.places import find_all

CONTENTS: Mapping[str, tuple[str, ...]] = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion-mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}  # fmt: skip
"""MD5 of the decompressed files: training images and labels, test images and labels."""

ARCHIVES: Mapping[str, tuple[str, ...]] = {
    "mnist": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion-mnist": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": (
        "bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}  # fmt: skip
"""MD5 of the compressed files as their authors and torchvision have them; packed again, a file has another."""


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
    def title(self) -> str:
        """Its name as its authors write it."""
        return DATASETS[self.name].title

    @property
    def images(self) -> PublishedImages:
        """What is known about the images."""
        images = DATASETS[self.name].images
        assert images is not None
        return images

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the four files."""
        train, val, size = self.images.train, self.images.val, self.images.size
        return (train, *size), (train,), (val, *size), (val,)


def _emnist(split: str, first_label: int = 0) -> IdxDataset:
    """Return a part of EMNIST, whose files hold the images with rows and columns exchanged (Cohen et al. 2017)."""
    files = tuple(
        f"emnist-{split}-{part}-{what}-ubyte" for part in ("train", "test") for what in ("images-idx3", "labels-idx1")
    )
    return IdxDataset(f"emnist-{split}", "EMNIST", files, {"split": split}, first_label, transposed=True)


IDX_DATASETS: Mapping[str, IdxDataset] = {
    data.name: data
    for data in (
        IdxDataset("fashion-mnist", "FashionMNIST"),
        IdxDataset("mnist", "MNIST"),
        IdxDataset("kmnist", "KMNIST"),
        _emnist("balanced"),
        _emnist("digits"),
        _emnist("letters", first_label=1),
    )
}
"""Each data set of IDX files by its name."""


def find(data: IdxDataset, folder: Path) -> dict[str, Path]:
    """Return the four files in a folder by their names, compressed or not, where torchvision or the authors put them.

    It is empty if none of them is there.

    Raises:
        DataError: some of them are missing, and no place has all.
    """
    places = (folder / place for place in (".", f"{data.torchvision}/raw", "raw", "gzip", data.name))
    found, part = find_all(data.files, places, ("", ".gz"))
    if part is not None:
        missing = ", ".join(f"{name}.gz" for name in part.missing)
        raise DataError(f"{part.place} contains only a part of {data.title}: {missing} missing")
    return found


def read_files(data: IdxDataset, files: Mapping[str, Path]) -> Iterator[tuple[str, bytes, bool]]:
    """Yield the name of each file, its decompressed contents, and whether its checksum is known.

    A file without a known checksum is accepted if it has the right shape and is not known to be another data set's.

    Raises:
        DataError: one of them is damaged, of another data set, or can't be read.
    """
    for name, shape in zip(data.files, data.shapes(), strict=True):
        size = _bytes_of(shape)
        content, digest = _read_file(files[name], size)
        found = known_as(md5(content), digest)
        is_whole = len(content) == size and idx_shape(content) == shape
        may_be = found is None and data.name not in CONTENTS
        if not (is_whole and (found == data.name or may_be)):
            raise _other_error(files[name], data, content, shape, found)
        yield name, content, found == data.name


def check(data: IdxDataset, files: Mapping[str, Path]) -> None:
    """Check the four files that `find` has found.

    Raises:
        DataError: one of them is damaged, of another data set, or can't be read.
    """
    for _ in read_files(data, files):
        pass


def _read_file(path: Path, size: int) -> tuple[bytes, str]:
    """Return the decompressed contents of a file, and the MD5 of the file itself.

    No more than one byte beyond `size` is kept, however much it expands to.
    """
    try:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            file.seek(0)
            return (gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(size + 1), digest
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error})", failure=True) from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", failure=True) from None


def md5(content: bytes) -> str:
    """Return the MD5 of a file's contents."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx_shape(content: bytes) -> tuple[int, ...] | None:
    """Return the sizes that the head of an IDX file of unsigned bytes states; None if it is no such file."""
    if content[:3] != b"\0\0\x08" or not content[3:4] or len(content) < 4 + 4 * content[3]:
        return None
    return tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * content[3], 4))


def known_as(*digests: str) -> str | None:
    """Return the data set that one of its files' MD5s belongs to; None if it is not known."""
    for table in (CONTENTS, ARCHIVES):
        for name, theirs in table.items():
            if set(digests) & set(theirs):
                return name
    return None


def _other_error(
    path: Path, data: IdxDataset, content: bytes, expected: tuple[int, ...], other: str | None
) -> DataError:
    """Return the error of a file that is not `data`'s, whose shape is `expected`: it is `other`'s, or damaged."""
    if other not in (None, data.name):
        return DataError(
            f"{path} is not {data.title}'s but {other}'s, in the same format: train on it with --dataset {other}"
        )
    shape, size = idx_shape(content), _bytes_of(expected)
    if shape is not None and shape != expected and len(content) == _bytes_of(shape):
        return DataError(
            f"{path} has {_sizes_text(shape)} values, and {data.title}'s has {_sizes_text(expected)}: it is another "
            "file under this name, such as that of the other part"
        )
    if shape is None or len(content) < size:
        missing = f"{len(content):,} bytes when decompressed, expected {size:,}"
        reason = "it is no IDX file" if len(content) == size else missing
        return DataError(f"{path} is damaged: {reason}", failure=True)
    return DataError(
        f"{path} is not {data.title}'s: it has the same format ({_sizes_text(shape)} values) with other contents (its "
        f"checksum), as MNIST and its kin have. Name its data set with --dataset, or bring {data.title}'s own file if "
        "it was changed"
    )


def _bytes_of(shape: tuple[int, ...]) -> int:
    """Return the size of an IDX file of unsigned bytes with this shape."""
    return 4 + 4 * len(shape) + math.prod(shape)


def _sizes_text(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{side:,}" for side in shape)
