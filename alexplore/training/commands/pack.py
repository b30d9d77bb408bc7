"""Pack an image folder, or check a packed one: the arguments are `pack SOURCE TARGET SIDE` or `check FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from alexplore.core.boundary import print_data, print_error, print_note, run_guarded
from alexplore.core.formatting import bytes_text
from alexplore.core.process_exit import exit_process
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import class_folders
from alexplore.runs.data.packed_images import Packed, read_packed
from alexplore.training.data.packing import check, pack
from alexplore.training.hardware import NICE


def main(arguments: list[str]) -> int:
    """Pack or check, print a summary of each part, and return the exit code."""
    torch.set_num_threads(1)  # the decoding processes need the processors
    os.nice(NICE)
    action, *rest = arguments
    if action == "pack":
        source, target, side = rest
        parts = pack(Path(source), Path(target), int(side), print_note)
    else:
        parts = packed_parts(Path(rest[0]))
        for part in parts:
            check(part, print_note)
    for part in parts:
        print_data(_summary(part))
    return 0


def packed_parts(folder: Path) -> list[Packed]:
    """Return the packed parts of a folder: the folder itself, or folders in it.

    Raises:
        DataError: there are none.
        PackedError: one is damaged.
    """
    if (whole := read_packed(folder)) is not None:
        return [whole]
    parts = [packed for name in class_folders(folder) if (packed := read_packed(folder / name)) is not None]
    if not parts:
        raise DataError(f"{folder} is no packed folder; pack an image folder with: alexplore data pack FOLDER")
    return parts


def _summary(part: Packed) -> str:
    what = f"{part.images:,} images of {len(part.classes):,} classes, {part.side}×{part.side}"
    damaged = f", {len(part.damaged):,} damaged left out" if part.damaged else ""
    return f"{part.folder}: {what}, {bytes_text(part.images * part.image_bytes)}{damaged}"


if __name__ == "__main__":
    exit_process(run_guarded(lambda: main(sys.argv[1:]), print_error))
