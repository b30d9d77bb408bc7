"""Measure the CPU time of decoding image files to 8-bit pixels of AlexNet's size, for each decoder.

The decoders take turns in one run; each ratio is of neighbouring turns, and the median is printed. The images are
drawn: smooth areas and texture, in JPEGs with about as many bytes as photographs of that size. No file is needed.

Two more tasks bound what is possible with libjpeg-turbo, which both decoders use. One decodes to the smallest size that
is not below the network's input, as Pillow does with images of at least twice that size, and does not resize. The other
decodes the brightness at 1/8 of the size: every Huffman code is read, almost nothing is transformed, and no colour is
converted. Their ratios are those of a decoder that would take just as much.

    python benchmarks/decoding.py [TURNS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from alexplore.training.data.decoders import DECODERS, PILLOW, choose_decoder
from alexplore.training.data.images import open_image
from alexplore.training.hardware import prepare

TO = 224
COUNT = 8
SIZES = ((256, 256), (400, 300), (375, 500), (500, 375), (640, 480), (1024, 768), (1600, 1200))
GOAL = 1.5
TEXTURES = {4: 60.0, 16: 40.0, 64: 25.0, 256: 20.0}
"""Standard deviations of the levels by the number of spots along 512 pixels."""


def main(turns: int) -> None:
    """Measure and print the results."""
    prepare(torch.device("cpu"))  # keeps freed memory, as in the worker
    torch.set_num_threads(1)
    chosen, _ = choose_decoder()
    print(f"torch {torch.__version__}, {chosen} against {PILLOW}, to {TO}×{TO}, goal {GOAL} times")
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            paths = [Path(folder) / f"{width}x{height}-{number}.jpg" for number in range(COUNT)]
            for number, path in enumerate(paths):
                draw(width, height, number).save(path, quality=92)
            tasks = (reader(PILLOW, paths), reader(chosen, paths), loader("RGB", TO, paths), loader("L", 1, paths))
            slow, *others = alternate(tasks, turns)
            ratios = [statistics.median(b / a for a, b in zip(one, slow, strict=True)) for one in others]
            columns = zip((chosen, "not resized", "Huffman codes alone"), others, ratios, strict=True)
            kilobytes = statistics.mean(path.stat().st_size for path in paths) / 1000
            print(
                f"{width:5}×{height:<5} {kilobytes:5.0f} kB: {PILLOW} {statistics.median(slow):5.2f} ms; "
                + "; ".join(f"{name} {statistics.median(one):5.2f}, {ratio:4.2f} times" for name, one, ratio in columns)
            )


def draw(width: int, height: int, seed: int) -> Image.Image:
    """Return a picture with structure at several scales."""
    rng = np.random.default_rng(seed)
    levels = np.full((height, width, 3), 128.0)
    for spots, deviation in TEXTURES.items():
        rows, columns = (max(2, side * spots // 512) for side in (height, width))
        for channel in range(3):
            small = Image.fromarray(rng.normal(scale=deviation, size=(rows, columns)).astype(np.float32))
            levels[..., channel] += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def reader(decoder: str, paths: list[Path]) -> Callable[[], None]:
    """Return a function that reads all files."""

    def read() -> None:
        for path in paths:
            with open_image(path) as image:
                DECODERS[decoder](image, 3, (TO, TO))

    return read


def loader(mode: str, side: int, paths: list[Path]) -> Callable[[], None]:
    """Return a function that decodes all files to the smallest size that is not below `side`, and does not resize."""

    def read() -> None:
        for path in paths:
            with open_image(path) as image:
                image.draft(mode, (side, side))
                image.load()

    return read


def alternate(tasks: Sequence[Callable[[], None]], turns: int) -> tuple[list[float], ...]:
    """Return the CPU milliseconds an image of readers that take turns; the first turn does not count."""
    times: tuple[list[float], ...] = tuple([] for _ in tasks)
    for turn in range(turns + 1):
        for task, taken in zip(tasks, times, strict=True):
            before = time.process_time()
            task()
            if turn:
                taken.append((time.process_time() - before) * 1000 / COUNT)
    return times


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
