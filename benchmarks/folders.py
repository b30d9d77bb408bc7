"""Training on an image folder beside training on images in memory: as files, and packed by `alexplore data pack`.

    python benchmarks/folders.py [PRESET]... [--precision fp32|bf16] [--turns N] [--seconds S]

The folder is made: JPEG files of 500×375 pixels, about the size of ImageNet's, with noise as in photographs. Each way
is a run that trains for some seconds a turn (see `turns`) while the others are paused.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from paused_runs import compare_runs, option_parser
from PIL import Image
from results import report

from alexplore.presets.library import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig

GOAL = 0.9
WIDTH, HEIGHT = 500, 375
IMAGES, DRAWN, CLASSES = 5000, 500, 10
"""Training images of the made folder, how many of them differ, and their classes."""

CPU = Hardware(device="cpu")
FILES, PACKED, MEMORY = "image files", "packed", "in memory"


def make_folder(folder: Path, count: int) -> None:
    """Write JPEG files of smooth colours with some noise, which compress as photographs do, to train/ and val/."""
    drawn = np.random.default_rng(2012)
    for number in range(count + CLASSES):
        part = "train" if number < count else "val"
        path = folder / part / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= DRAWN:
            first = number % DRAWN
            path.hardlink_to(folder / "train" / f"class{first % CLASSES}" / f"{first}.jpg")
            continue
        small = Image.fromarray(drawn.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = np.clip(smooth + drawn.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path, quality=90)


def measure(preset: str, folders: dict[str, Path], count: int, precision: str, turns: int, seconds: float) -> None:
    """Report the images a second of each way, and the ratios. In memory there are as many images: `count`."""
    loaded = load_preset(preset)
    recipe = replace(loaded.recipe, precision=precision, epochs=1000)
    from_files = replace(recipe, dataset="imagefolder")
    made = replace(recipe, dataset="synthetic", resize=None, random_crop=False)
    configs = {
        way: RunConfig(preset, loaded.network.with_classes(CLASSES), from_files, CPU, DataSource(folder=str(folder)))
        for way, folder in folders.items()
    }
    in_memory = DataSource(limit_train=count, limit_val=CLASSES)
    configs[MEMORY] = RunConfig(preset, loaded.network.with_classes(CLASSES), made, CPU, in_memory)
    rates = compare_runs(configs, precision, turns, seconds)
    name = f"{preset}, {precision}"
    for way in configs:
        report(f"{name}, {way}", rates.figure(way), "images/s", ".1f")
    for way in folders:
        report(f"{name}, {way} over {MEMORY}", rates.ratio(way, MEMORY), goal=str(GOAL), turns=rates.turns)


if __name__ == "__main__":
    parser = option_parser(__doc__ or "", ["torchvision"])
    parser.add_argument("--images", type=int, default=IMAGES, help=f"training images of the folder, at least {DRAWN}")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} processors", flush=True)
    with tempfile.TemporaryDirectory() as base:
        folders = {FILES: Path(base, "files"), PACKED: Path(base, "packed")}
        make_folder(folders[FILES], chosen.images)
        pack = ["data", "pack", str(folders[FILES]), "--output", str(folders[PACKED])]
        subprocess.run([sys.executable, "-m", "alexplore", *pack], check=True)
        for preset in chosen.presets:
            measure(preset, folders, chosen.images, chosen.precision, chosen.turns, chosen.seconds)
