"""Fashion-MNIST: its four files."""

from __future__ import annotations

from pathlib import Path

import torch

from alexplore.presets.datasets import DATASETS
from alexplore.runs.image_layout import DataError
from alexplore.training.data.cache import Arrays
from alexplore.training.data.download import download_debian_package, download_with_torchvision
from alexplore.training.data.idx import md5, other_text, parse_idx, read_file
from alexplore.training.data.published import Download, Files, PublishedDataset

CONTENTS = {
    "train-images-idx3-ubyte": (47_040_016, "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    "train-labels-idx1-ubyte": (60_008, "9018921c3c673c538a1fc5bad174d6f9"),
    "t10k-images-idx3-ubyte": (7_840_016, "8181f5470baa50b63fa0f6fddb340f0a"),
    "t10k-labels-idx1-ubyte": (10_008, "15d484375f8d13e6eb1aabb0c3f46965"),
}
"""Bytes and MD5 of each file when decompressed.

torchvision checks the MD5 of the compressed files. Those of Debian's package are compressed again: they differ, but
their contents are the same.
"""

LAYOUTS = (".", "FashionMNIST/raw", "raw", "fashion-mnist")
"""Folders, inside the one that is named, in which torchvision, Debian or the authors put the files."""

(DEBIAN_FOLDER,) = DATASETS["fashion-mnist"].installed_in


def find(folder: Path) -> Files:
    """Return the four files in a folder, compressed or not; nothing if none of them is there.

    Raises:
        DataError: some of them are missing.
    """
    for place in (folder / layout for layout in LAYOUTS):
        found = {}
        for name in CONTENTS:
            for path in (place / name, place / f"{name}.gz"):
                if path.is_file():
                    found[name] = path
                    break
        if found and len(found) < len(CONTENTS):
            missing = [f"{name}.gz" for name in CONTENTS if name not in found]
            raise DataError(f"{place} contains only a part of Fashion-MNIST: {', '.join(missing)} missing")
        if found:
            return found
    return {}


def unpack(files: Files, work: Path) -> bool:
    """Check the files, and write them to `work` where torchvision puts them; return True.

    Raises:
        DataError: one of them is damaged or can't be read.
    """
    raw = work / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        size, digest = CONTENTS[name]
        content, archive = read_file(path, size)
        if len(content) != size or md5(content) != digest:
            raise DataError(other_text(path, "Fashion-MNIST", content, size, archive))
        (raw / name).write_bytes(content)
    return True


def read(work: Path) -> Arrays:
    """Read the images and labels that `unpack` has written: uint8 (N, 1, 28, 28) and int64 (N,)."""
    raw = work / "FashionMNIST" / "raw"
    arrays = {}
    for part, prefix in (("train", "train"), ("val", "t10k")):
        arrays[f"{part}_images"] = parse_idx((raw / f"{prefix}-images-idx3-ubyte").read_bytes()).unsqueeze(1)
        arrays[f"{part}_labels"] = parse_idx((raw / f"{prefix}-labels-idx1-ubyte").read_bytes()).to(torch.int64)
    return arrays


FASHION_MNIST = PublishedDataset(
    name="fashion-mnist",
    find=find,
    unpack=unpack,
    read=read,
    downloads=(
        Download(
            "torchvision's download",
            lambda folder, report: download_with_torchvision("FashionMNIST", folder, report),
        ),
        Download(
            "Debian's package dataset-fashion-mnist",
            lambda folder, report: download_debian_package("dataset-fashion-mnist", DEBIAN_FOLDER, folder, report),
        ),
    ),
    installed_in=(DEBIAN_FOLDER,),
)
