"""Measure the listing of an image folder as large as ImageNet, the first time and again.

    python benchmarks/listing.py [IMAGES]

The files are empty and are created in shared memory or the temporary folder; 1,300,000 of them in 1,000 folders by
default.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from results import report
from turns import figure

CLASSES = 1000
FIRST_SECONDS, AGAIN_SECONDS = 20.0, 1.0


def make(folder: Path, images: int) -> None:
    """Create the files, with ImageNet's names."""
    for number in range(CLASSES):
        inside = folder / f"n{number:08}"
        inside.mkdir(parents=True)
        for each in range(images // CLASSES):
            os.close(os.open(inside / f"n{number:08}_{each}.JPEG", os.O_CREAT | os.O_WRONLY))


def main(images: int) -> None:
    """Measure and report the results."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as base:
        os.environ["XDG_CACHE_HOME"] = str(Path(base, "cache"))
        folder = Path(base, "images")
        make(folder, images)
        time.sleep(3)  # folders that changed just now are not cached
        report_listing(folder)


def report_listing(folder: Path) -> None:
    """List a folder twice, and report the seconds."""
    from alexplore.runs.data.image_layout import LeftOut, find_layout
    from alexplore.training.data.folder_listing import list_images

    for name, goal in (("first", FIRST_SECONDS), ("again", AGAIN_SECONDS)):
        started, used = time.perf_counter(), time.process_time()
        layout = find_layout(folder)
        count = len(list_images(layout.train, layout.classes, LeftOut(folder)).paths)
        wall, processor = time.perf_counter() - started, time.process_time() - used
        note = f"{processor:.2f} s of the processor"
        report(f"{count:,} files listed, {name}", figure([wall]), "s", goal=f"at most {goal:g} s", note=note)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_300_000)
