"""Measure the cost of recording inside a run: time of training, bytes of 100 epochs, and time of drawing a picture.

    python benchmarks/inside.py [--preset fmnist-28] [--rounds 5] [--steps 40]

Two trainers, with and without recording, do the same steps by turns, so that other programs slow both down; the median
of the rounds' ratios is printed. Steps are recorded as often as in an epoch of the preset's whole data set.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from gpu_checks.speed import random_dataset
from results import report
from turns import figure
from worker_loop import open_trainer, train_here

from alexplore.core.picture import Picture
from alexplore.presets.library import load_preset
from alexplore.render.inside_pictures import kernel_picture, kernels_per_row, maps_picture
from alexplore.render.pictures import half_blocks
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.inside import MOST_BYTES, InsideEpoch, inside_file, load_epoch
from alexplore.runs.metrics import LAYER_METRICS
from alexplore.training.data.dataset import Dataset
from alexplore.training.inside.layer_figures import is_measured
from alexplore.training.loop import Trainer

CPU = torch.device("cpu")
TRAINING_IMAGES = 60_000


def main() -> None:
    """Print the three measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="fmnist-28")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    preset = load_preset(arguments.preset)
    recipe = replace(preset.recipe, dataset="synthetic", precision="fp32", epochs=1)
    with tempfile.TemporaryDirectory() as name:
        config = RunConfig(
            preset.name, preset.network, recipe, Hardware("cpu"), DataSource(limit_train=512, limit_val=256)
        )
        dataset = random_dataset(preset, 512, TRAINING_IMAGES, CPU)
        print_throughput(config, dataset, Path(name), arguments.rounds, arguments.steps)
        print_drawing(print_size(config, Path(name)))


def print_throughput(config: RunConfig, dataset: Dataset, folder: Path, rounds: int, steps: int) -> None:
    """Print the time of steps with recording divided by that of steps without."""
    trainers = [
        open_trainer(replace(config, recipe=replace(config.recipe, inside=inside)), folder, str(inside), CPU, dataset)[
            0
        ]
        for inside in (True, False)
    ]
    for trainer in trainers:
        trainer.model.train()
    steps_per_epoch = trainers[0].steps_per_epoch
    start = 65  # after the early steps, which are recorded more often
    ratios = []
    for number in range(rounds + 1):
        seconds = [0.0, 0.0]
        for each in range(steps):
            step = start + number * steps + each
            for place, trainer in enumerate(trainers) if each % 2 else reversed(list(enumerate(trainers))):
                seconds[place] += step_seconds(trainer, step)
        if number:  # the first round warms up
            ratios.append(seconds[0] / seconds[1])
    measured = sum(is_measured(start + step, trainers[0].interval, steps_per_epoch) for step in range(rounds * steps))
    note = f"{measured} of {rounds * steps} steps measured"
    report("training with recording over without", figure(ratios), format=".3f", goal="at most 1.02", note=note)


def step_seconds(trainer: Trainer, step: int) -> float:
    """Return the processor time of a step and of reading its figures; other programs don't change it much."""
    images, labels = next(trainer.dataset.train.batches(torch.arange(trainer.recipe.batch_size), 512))
    before = time.process_time()
    trainer.step(images, labels, step)
    trainer.recorder.take_figures()
    return time.process_time() - before


def print_size(config: RunConfig, folder: Path) -> InsideEpoch:
    """Print the bytes that 100 epochs of the whole data set add to a run's folder; return the record of one epoch."""
    run = train_here(config, folder, "size", CPU)
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    figures = max(
        len(json.dumps({key: value for key, value in line.items() if key.partition("/")[0] in LAYER_METRICS}))
        for line in lines
    )
    file = inside_file(run, 1).stat().st_size
    files, numbers = min(100 * file, MOST_BYTES), 100 * 45 * figures
    print(
        f"100 epochs: {(files + numbers) / 1e6:.1f} MB: files {files / 1e6:.1f} (each {file / 1e3:.0f} kB), "
        f"figures {numbers / 1e6:.1f}"
    )
    return load_epoch(run, 1)


def print_drawing(epoch: InsideEpoch) -> None:
    """Print the time of drawing pictures in a terminal of 120×40."""
    grid = epoch.kernels
    assert grid is not None
    makers: tuple[tuple[str, Callable[[], Picture]], ...] = (
        ("kernels", lambda: kernel_picture(grid, kernels_per_row(grid, 120))),
        ("maps", lambda: maps_picture(epoch.maps_of("conv1"), 4)),
        ("an image", lambda: epoch.images[0].picture),
    )
    for name, make in makers:
        before = time.perf_counter()
        picture = make()
        half_blocks(picture, 120, 38)
        print(f"{name}: {picture.height}×{picture.width} pixels drawn in {1e3 * (time.perf_counter() - before):.0f} ms")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
