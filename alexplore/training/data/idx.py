"""IDX files, MNIST's format: read, checked, and told from other data sets' in the same format.

A file of unsigned bytes has two zeros, the type (8), the number of dimensions, each size, then the values. Sizes are
32-bit integers, the most significant byte first. Source: "The IDX file format" on the MNIST page.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from alexplore.core.regular_files import open_regular
from alexplore.runs.image_layout import DataError

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


def read_file(path: Path, size: int) -> tuple[bytes, str]:
    """Return the decompressed contents of a file, and the MD5 of the file itself.

    No more than one byte beyond `size` is kept, however much it expands to.

    Raises:
        DataError: it is damaged or can't be read.
    """
    try:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            file.seek(0)
            return (gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(size + 1), digest
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error})") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from None


def md5(content: bytes) -> str:
    """Return the MD5 of a file's contents."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx_shape(content: bytes) -> tuple[int, ...] | None:
    """Return the sizes that the head of an IDX file of unsigned bytes states; None if it is no such file."""
    if content[:3] != b"\0\0\x08" or not content[3:4] or len(content) < 4 + 4 * content[3]:
        return None
    return tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * content[3], 4))


def parse_idx(content: bytes) -> Tensor:
    """Return the values of a whole IDX file of unsigned bytes."""
    shape = idx_shape(content)
    assert shape is not None
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=4 + 4 * len(shape)).view(shape)


def known_as(*digests: str) -> str | None:
    """Return the data set that one of its files' MD5s belongs to; None if it is not known."""
    for table in (CONTENTS, ARCHIVES):
        for name, theirs in table.items():
            if set(digests) & set(theirs):
                return name
    return None


def other_text(path: Path, title: str, content: bytes, size: int, digest: str) -> str:
    """Return what a file is that is not the one of `title`, which has `size` bytes: another data set's, or damaged."""
    if other := known_as(md5(content), digest):
        return f"{path} is not {title}'s but {other}'s, in the same format: train on it with --dataset {other}"
    shape = idx_shape(content)
    if shape is None or len(content) < size:
        expected = f"{len(content):,} bytes when decompressed, expected {size:,}"
        return f"{path} is damaged: {'it is no IDX file' if len(content) == size else expected}"
    sizes = " × ".join(f"{side:,}" for side in shape)
    return (
        f"{path} is not {title}'s: it has the same format ({sizes} values) with other contents (its checksum), as "
        f"MNIST and its kin have. Name its data set with --dataset, or bring {title}'s own file if it was changed"
    )
