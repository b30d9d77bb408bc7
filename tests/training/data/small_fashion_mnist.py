"""Four small files in Fashion-MNIST's format."""

from __future__ import annotations

import hashlib

import torch

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


def checksums(files: dict[str, bytes]) -> dict[str, tuple[int, str]]:
    """Return what `fashion_mnist.CONTENTS` must be for these files to be accepted."""
    return {name: (len(content), hashlib.md5(content).hexdigest()) for name, content in files.items()}
