"""Which checkpoints a run has, and how large its directory is, without reading a weight."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexplore.core.formatting import count_text
from alexplore.core.regular_files import read_json
from alexplore.runs.checkpoint_names import BEST, MANIFEST, NAMES
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import read_number
from alexplore.runs.metrics import BEST_METRIC, METRICS
from alexplore.runs.summary import Summary

MOST_FILES = 10_000  # `folder_size` stops counting here; a run has about twenty files


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint as its manifest describes it.

    `step` counts updates and `epoch` whole epochs before it; `accuracy` is the validation accuracy of `best`, 0 to 1,
    if the recipe monitors it; `saved` is in seconds since 1970.
    """

    kind: str
    step: int
    epoch: int
    accuracy: float | None = None
    saved: float | None = None


def manifests(run: RunDirectory) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the kind and the manifest of each checkpoint that a run has, in the order in which a worker tries them."""
    for kind in NAMES:
        if (manifest := read_json(run.checkpoints_folder / kind / MANIFEST, links=False)) is not None:
            yield kind, manifest


def stored_checkpoints(run: RunDirectory) -> Sequence[StoredCheckpoint]:
    """Return the checkpoints of a run; those without a readable manifest are left out."""
    found = []
    for kind, manifest in manifests(run):
        match manifest:
            case {"step": int(step), "epoch": int(epoch)}:
                # Every manifest has the best accuracy until then, which is that of these weights only in `best`.
                accuracy = read_number(manifest.get(BEST_METRIC)) if kind == BEST else None
                saved = read_number(manifest.get("time"))
                found.append(StoredCheckpoint(kind, step, epoch, accuracy, saved))
            case _:
                pass
    return found


def resume_step(run: RunDirectory) -> int:
    """Return the step from which a worker would continue the run, 0 if it has none."""
    return next((found.step for found in stored_checkpoints(run)), 0)


def resume_text(summary: Summary) -> str:
    """Return where a resumed run would start, and how many steps it would repeat: `from step 40 (12 steps again)`."""
    step = resume_step(summary.run)
    again = summary.status.step - step
    lost = f" ({count_text(again, 'step')} again)" if again > 0 else ""
    return f"from step {step:,}{lost}" if step else f"from the start: it has no checkpoint yet{lost}"


def checkpoint_text(found: StoredCheckpoint) -> str:
    """Return `best: step 40, epoch 2, 87.4%`."""
    accuracy = "" if found.accuracy is None else f", {METRICS[BEST_METRIC].number(found.accuracy)}"
    return f"{found.kind}: step {found.step:,}, epoch {found.epoch}{accuracy}"


def folder_size(run: RunDirectory) -> int:
    """Return the bytes that a run takes on the disk; hard links, such as the best checkpoint's, count once."""
    sizes: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(run.path):
        for name in names:
            try:
                status = (Path(folder) / name).lstat()
            except OSError:  # removed since it was listed
                continue
            sizes[status.st_dev, status.st_ino] = status.st_size
        if len(sizes) > MOST_FILES:
            break
    return sum(sizes.values())
