"""How much sooner ReLU learns than tanh: the paper's figure 1, on the nearest published network and Fashion-MNIST.

Trains `cifar10-relu` and `cifar10-tanh` with one input channel at several learning rates and prints the steps until so
many of the training images are misclassified, averaged over the steps of the last tenth of an epoch. The paper says six
times sooner to 25 %, on CIFAR-10, each at its own best rate, without regularisation.

    python benchmarks/activations.py [EPOCHS] [LR]...
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

from alexplore.network.presets import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.events import LineReader

LEARNING_RATES = (0.01, 0.03, 0.1, 0.3)
EPOCHS = 4
ERRORS = (0.25, 0.15)


def steps_to(errors: tuple[float, ...], activation: str, lr: float, epochs: int, folder: Path) -> dict[float, int]:
    """Train until the last of some training errors, from high to low; the steps to each that was reached."""
    preset = load_preset(f"cifar10-{activation}")
    network = preset.network.with_input(1, *preset.network.input[1:])
    recipe = replace(preset.recipe, dataset="fashion-mnist", lr=lr, epochs=epochs)
    run = create_run(RunConfig(preset.name, network, recipe, Hardware(device="cpu"), DataSource()), folder)
    worker = subprocess.Popen(
        [sys.executable, "-m", "alexplore.training.worker", str(run.path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    reader, seen, reached = LineReader(run.metrics_file), list[tuple[float, float]](), dict[float, int]()
    try:
        while len(reached) < len(errors):
            ended = worker.poll() is not None
            for line in reader.read():
                seen.append((line["epoch"], line["train/acc"]))
                recent = [accuracy for epoch, accuracy in seen if epoch > line["epoch"] - 0.1]
                error = 1 - sum(recent) / len(recent)
                for goal in errors if line["epoch"] >= 0.1 else ():
                    if error <= goal:
                        reached.setdefault(goal, int(line["step"]))
            if ended:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(1.0)
    finally:
        worker.kill()
        worker.wait()
    return reached


def main(epochs: int, rates: tuple[float, ...]) -> None:
    """Sweep both, and print the best of each."""
    best: dict[tuple[str, float], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for activation, lr in product(("relu", "tanh"), rates):
            reached = steps_to(ERRORS, activation, lr, epochs, Path(folder))
            words = [f"{reached[goal]} steps to {goal:.0%}" for goal in ERRORS if goal in reached]
            print(f"{activation}, lr {lr}: {', '.join(words) or f'nothing within {epochs} epochs'}", flush=True)
            for goal, steps in reached.items():
                best[activation, goal] = min(steps, best.get((activation, goal), steps))
    for goal in ERRORS:
        relu, tanh = best.get(("relu", goal)), best.get(("tanh", goal))
        if relu and tanh:
            print(f"steps to {goal:.0%} training error: ReLU {relu}, tanh {tanh}: ReLU {tanh / relu:.1f} times sooner")


if __name__ == "__main__":
    chosen = [float(argument) for argument in sys.argv[1:]]
    main(int(chosen[0]) if chosen else EPOCHS, tuple(chosen[1:]) or LEARNING_RATES)
