"""Measure the time in which `fmnist-fast` reaches a test accuracy on Fashion-MNIST: 0.90, 0.92 and 0.94.

    python benchmarks/time_to_accuracy.py [--targets A...] [--seeds N] [--epochs N] [--device D] [--data DIR]

For each target the preset is trained for a number of epochs that is declared here, so that its learning rate falls
within them; a target counts as reached if the mean accuracy over the seeds is at least the target. A training takes the
time from the start of its process, with `import torch`, to the result of its last evaluation; all epochs are evaluated.
Fashion-MNIST's files must be on this machine. `--epochs` is for trials of another number of epochs.

How many epochs a target needs was chosen by accuracies on the same test images, with seed 0. Seeds from 1 are measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from checkout import use_checkout

use_checkout()

from results import report  # noqa: E402
from turns import figure  # noqa: E402
from workers import started_worker  # noqa: E402

from alexplore.presets.library import load_preset  # noqa: E402
from alexplore.runs.config import DataSource, Hardware, RunConfig  # noqa: E402
from alexplore.runs.directory import create_run  # noqa: E402
from alexplore.runs.lines import LineReader  # noqa: E402
from alexplore.runs.protocol import EpochEvent, read_event  # noqa: E402

PRESET = "fmnist-fast"

EPOCHS = {0.90: 2, 0.92: 4, 0.94: 14}
"""Test accuracies, and the epochs of the shortest training that reaches each."""


@dataclass(frozen=True)
class Training:
    """The result of one training."""

    accuracy: float
    seconds: float


def train(epochs: int, seed: int, device: str, data: DataSource, folder: Path) -> Training:
    """Train the preset, and return its test accuracy after the last epoch and the seconds that it took."""
    preset = load_preset(PRESET)
    recipe = replace(preset.recipe, epochs=epochs, seed=seed)
    config = RunConfig(PRESET, preset.network, recipe, Hardware(device=device), data)
    run = create_run(config, folder)
    started = time.time()
    with started_worker(run) as process:
        process.wait()
    for line in map(read_event, LineReader(run.events_file).read_all()):
        if isinstance(line.event, EpochEvent) and line.event.epoch == epochs:
            return Training(line.event.metrics["val/acc"], line.head.time - started)
    raise RuntimeError(f"{run.name} did not finish: {run.console_tail(5)}")


def main(options: argparse.Namespace) -> None:
    """Train for each target with each seed, and report accuracies and times."""
    with tempfile.TemporaryDirectory() as base:
        for target in options.targets:
            count = options.epochs or EPOCHS[target]
            data = DataSource(options.data, options.limit_train, download=False)
            seeds = range(1, options.seeds + 1)
            trainings = [train(count, seed, options.device, data, Path(base)) for seed in seeds]
            accuracies = [training.accuracy for training in trainings]
            mean = statistics.mean(accuracies)
            note = f"{'reached' if mean >= target else 'NOT reached'}: mean {mean:.4f} of {options.seeds} seeds"
            report(
                f"{count} epochs for {target:.2f}: accuracy",
                figure(accuracies),
                "of the test images",
                ".4f",
                f"{target}",
                note=note,
            )
            seconds = [training.seconds for training in trainings]
            note = f"mean {statistics.mean(seconds):.1f} s"
            report(f"{count} epochs for {target:.2f}: time", figure(seconds), "s", ".1f", note=note)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--targets", type=float, nargs="+", choices=list(EPOCHS), default=list(EPOCHS), metavar="A")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="train for so many instead")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", metavar="DIR", help="the folder of Fashion-MNIST's files, if it is not the usual one")
    parser.add_argument("--limit-train", type=int, help="use so many training images, to see that it works")
    main(parser.parse_args())
