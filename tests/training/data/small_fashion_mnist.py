"""Four small files in Fashion-MNIST's format."""

from __future__ import annotations

import hashlib

import pytest
import torch

from alexplore.presets.datasets import DATASETS
from alexplore.runs.data import idx_files

TRAIN, TEST = 40, 20


def contents() -> dict[str, bytes]:
    """Return the files' contents by name: 40 training and 20 test images of random pixels, the ten classes in turn."""
    generator = torch.Generator().manual_seed(0)
    files = {}
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        pixels = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8, generator=generator)
        header = b"".join(n.to_bytes(4, "big") for n in (0x803, count, 28, 28))
        files[f"{part}-images-idx3-ubyte"] = header + pixels.numpy().tobytes()
        labels = bytes(i % 10 for i in range(count))
        files[f"{part}-labels-idx1-ubyte"] = (0x801).to_bytes(4, "big") + count.to_bytes(4, "big") + labels
    return files


def shrink(monkeypatch: pytest.MonkeyPatch, name: str = "fashion-mnist") -> None:
    """Let a data set have as many images as these files."""
    images = DATASETS[name].images
    assert images is not None
    monkeypatch.setitem(DATASETS, name, DATASETS[name]._replace(images=images._replace(train=TRAIN, val=TEST)))


def accept(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], name: str = "fashion-mnist") -> None:
    """Let these be the files of a data set, whose checksums are known."""
    shrink(monkeypatch, name)
    digests = tuple(hashlib.md5(content).hexdigest() for content in files.values())
    monkeypatch.setattr(idx_files, "CONTENTS", {**idx_files.CONTENTS, name: digests})
