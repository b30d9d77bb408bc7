"""SVHN: the cropped digits of train_32x32.mat and test_32x32.mat, files of MATLAB 5."""

from __future__ import annotations

import math
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from alexplore.core.regular_files import open_regular
from alexplore.runs.data import checksummed_files
from alexplore.runs.data.dataset_files import Files
from alexplore.training.data.cache import Arrays
from alexplore.training.data.download import download_with_torchvision
from alexplore.training.data.published import Download, PublishedDataset

PARTS = {"train": "train_32x32.mat", "val": "test_32x32.mat"}

HEADER_BYTES = 128
UINT8, MATRIX, COMPRESSED = 2, 14, 15
"""Types of data elements. Source: "MAT-File Format", MathWorks, table 1-1."""


def unpack(files: Files, work: Path) -> bool:
    """Check the files, and link them to `work`; return True.

    Raises:
        DataError: one of them is damaged or can't be read.
    """
    checksummed_files.check(checksummed_files.SVHN, files)
    for name, path in files.items():
        try:
            (work / name).symlink_to(path.resolve())
        except OSError:  # a file system without links
            shutil.copyfile(path, work / name)
    return True


def read(work: Path) -> Arrays:
    """Read the images, uint8 (N, 3, 32, 32), and their labels, int64 (N,); the files label the digit 0 as 10."""
    arrays = {}
    for part, name in PARTS.items():
        with open_regular(work / name) as file:
            variables = dict(read_mat(file.read()))
        arrays[f"{part}_images"] = variables["X"].permute(3, 2, 0, 1).contiguous()
        arrays[f"{part}_labels"] = variables["y"].flatten().to(torch.int64) % 10
    return arrays


def read_mat(content: bytes) -> Iterator[tuple[str, Tensor]]:
    """Yield the names and values of the uint8 matrices in a MAT file of version 5 with little-endian numbers.

    Source: "MAT-File Format", MathWorks, chapter 1.
    """
    for outer, data in _elements(content[HEADER_BYTES:]):
        kind, matrix = next(_elements(zlib.decompress(data))) if outer == COMPRESSED else (outer, data)
        if kind == MATRIX:
            _, (_, sizes), (_, name), (values_kind, values) = list(_elements(matrix))[:4]
            if values_kind != UINT8:
                continue
            shape = struct.unpack(f"<{len(sizes) // 4}i", sizes)
            flat = torch.frombuffer(bytearray(values), dtype=torch.uint8)
            assert len(flat) == math.prod(shape)
            columns_first = flat.view(*reversed(shape))
            yield name.decode("ascii"), columns_first.permute(*reversed(range(len(shape))))


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the types and the data of elements: 8 bytes of head, or 4 and the data in the other 4 if that is small."""
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, at)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            yield kind, content[at + 4 : at + 4 + size]
            at += 8
            continue
        yield kind, content[at + 8 : at + 8 + size]
        at += 8 + (size if kind == COMPRESSED else -(-size // 8) * 8)


SVHN = PublishedDataset(
    name="svhn",
    unpack=unpack,
    read=read,
    downloads=(
        Download(
            "torchvision's download",
            lambda folder, report: download_with_torchvision(
                "SVHN", folder, report, {"split": "train"}, {"split": "test"}
            ),
        ),
    ),
)
