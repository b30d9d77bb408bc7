"""Train `fmnist-fast` to each target of `time_to_accuracy.py`, and measure the time from the start of each process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

from time_to_accuracy import EPOCHS, PRESET, Training, train

from alexplore.runs.config import DataSource
from gpu_checks.bench import Bench, Check, Outcome, attempt, expect, skip

SEEDS = 5


def run(bench: Bench) -> Outcome:
    """Train for each target with each seed, as long as there is time; the values are accuracies and seconds."""
    if bench.data is None and not bench.dry:
        return Outcome((skip(PRESET, "no Fashion-MNIST: name the folder of its four files with --data"),))
    targets: dict[str, Any] = {}
    checks = attempt({f"{target:.0%}": partial(_reached, target, bench, targets) for target in reversed(EPOCHS)})
    return Outcome(checks, {"preset": PRESET, "targets": targets})


def _reached(target: float, bench: Bench, targets: dict[str, Any]) -> Iterator[Check]:
    """Check that the mean accuracy over the seeds is at least the target."""
    name, epochs = f"{target:.0%}", 1 if bench.dry else EPOCHS[target]
    data = DataSource(None if bench.data is None else str(bench.data), 256 if bench.dry else None, download=False)
    trainings: list[Training] = []
    for seed in range(1, 2 if bench.dry else SEEDS + 1):
        if trainings and bench.seconds_left() < 1.2 * trainings[-1].seconds:
            break
        trainings.append(train(epochs, seed, bench.device, data, bench.work))
    accuracies, seconds = [one.accuracy for one in trainings], [one.seconds for one in trainings]
    targets[name] = {"epochs": epochs, "accuracies": accuracies, "seconds": seconds}
    mean = statistics.mean(accuracies)
    if bench.dry:
        yield skip(name, "a dry run learns nothing")
    else:
        yield expect(name, mean >= target, f"mean of {len(trainings)} seeds {mean:.4f}")
