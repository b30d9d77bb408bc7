"""Train on packed images and on image files, for which other threads allocate memory while steps are captured."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from worker_loop import open_trainer, train_epoch

from alexplore.runs.config import DataSource, Hardware
from alexplore.runs.data.packed_images import CHANNELS, INDEX, PATHS, Packed, Shard
from alexplore.training.data import decoded_images
from gpu_checks.backend import worker_settings
from gpu_checks.bench import Bench, Check, Outcome, attempt, expect, skip
from gpu_checks.runs import BATCH, losses_by_step, small_config, small_network

SIDE, CLASSES = 32, 10
STEPS = 100
"""So many that steps with and without measured layers are captured."""


def run(bench: Bench) -> Outcome:
    """Check that a network trains to the end of an epoch on both kinds of folders, and that its steps are captured."""
    makers: dict[str, Callable[[Path, int], None]] = {"packed images": write_packed, "image files": write_files}
    with worker_settings(torch.device(bench.device)):
        return Outcome(attempt({name: partial(_trained, name, bench, write) for name, write in makers.items()}))


def _trained(name: str, bench: Bench, write: Callable[[Path, int], None]) -> Iterator[Check]:
    device, steps = torch.device(bench.device), 2 if bench.dry else STEPS
    folder = bench.work / name.replace(" ", "-")
    try:
        for part in ("train", "val"):
            write(folder / part, steps * BATCH if part == "train" else BATCH)
    except ImportError as error:
        yield skip(name, f"needs {error.name}")
        return
    config = small_config(
        small_network(kinks=True), steps, Hardware(device=bench.device), dataset="imagefolder", resize=SIDE,
        random_crop=True, horizontal_flip=True, color_noise=0.1, lr=1e-3,
    )  # fmt: skip
    config = replace(config, data=DataSource(folder=str(folder)))
    with patch.object(decoded_images, "MEMORY_SHARE", 0.0):  # so that image files are decoded in all epochs
        trainer, _ = open_trainer(config, bench.work, f"run-{folder.name}", device)
    train_epoch(trainer)
    losses = losses_by_step(trainer.run)
    note = f"{max(losses)} steps, loss {losses[min(losses)]:.3f} to {losses[max(losses)]:.3f}"
    yield expect(name, max(losses) == steps and all(map(math.isfinite, losses.values())), note)
    if device.type == "cuda":
        yield expect(f"{name}: steps are captured", trainer.captured.kinds >= 2, f"{trainer.captured.kinds} kinds")


def _images(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, SIDE, SIDE, CHANNELS), dtype=torch.uint8)


def write_packed(folder: Path, count: int) -> None:
    """Write a part of a packed folder with `count` random images."""
    folder.mkdir(parents=True)
    pixels = _images(count).numpy().tobytes()
    classes = {f"class{number}": len(range(number, count, CLASSES)) for number in range(CLASSES)}
    names = "".join(f"{name}/{index}.png\n" for name, many in classes.items() for index in range(many)).encode()
    digests = (hashlib.sha256(content).hexdigest() for content in (pixels, names))
    packed = Packed(folder, SIDE, "pillow", classes, (Shard(count, next(digests)),), next(digests), {})
    packed.shard_file(0).write_bytes(pixels)
    (folder / PATHS).write_bytes(names)
    (folder / INDEX).write_text(json.dumps(packed.to_dict()))


def write_files(folder: Path, count: int) -> None:
    """Write a part of an image folder with `count` random images.

    Raises:
        ImportError: Pillow is missing.
    """
    from PIL import Image

    for index, image in enumerate(_images(count)):
        file = folder / f"class{index % CLASSES}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.numpy()).save(file)
