"""How much sooner ReLU learns than tanh: the paper's figure 1, on the nearest published network and Fashion-MNIST.

Trains `cifar10-relu` and `cifar10-tanh` with one input channel at several learning rates and prints the steps until a
quarter of the training images is misclassified, averaged over the steps of the last tenth of an epoch. The paper says
six times sooner, on CIFAR-10, each at its own best rate, without regularisation.

    python benchmarks/activations.py [EPOCHS] [LR]...
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from alexplore.network.presets import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.events import LineReader

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1)
EPOCHS = 4
TRAINING_ACCURACY = 0.75


def steps_to_goal(activation: str, lr: float, epochs: int, folder: Path) -> int | None:
    """Train until a tenth of an epoch is classified well enough; None where that does not happen."""
    preset = load_preset(f"cifar10-{activation}")
    network = preset.network.with_input(1, *preset.network.input[1:])
    recipe = replace(preset.recipe, dataset="fashion-mnist", lr=lr, epochs=epochs)
    run = create_run(RunConfig(preset.name, network, recipe, Hardware(device="cpu"), DataSource()), folder)
    worker = subprocess.Popen(
        [sys.executable, "-m", "alexplore.training.worker", str(run.path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    reader, seen = LineReader(run.metrics_file), list[tuple[int, float, float]]()
    try:
        while True:
            ended = worker.poll() is not None
            for line in reader.read():
                seen.append((line["step"], line["epoch"], line["train/acc"]))
                recent = [accuracy for _, epoch, accuracy in seen if epoch > line["epoch"] - 0.1]
                if line["epoch"] >= 0.1 and sum(recent) / len(recent) >= TRAINING_ACCURACY:
                    return int(line["step"])
            if ended:
                return None
            try:
                worker.wait(1.0)
            except subprocess.TimeoutExpired:
                continue
    finally:
        worker.kill()
        worker.wait()


def main(epochs: int, rates: tuple[float, ...]) -> None:
    """Sweep both, and print the best of each."""
    best: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for activation in ("relu", "tanh"):
            for lr in rates:
                steps = steps_to_goal(activation, lr, epochs, Path(folder))
                print(f"{activation}, lr {lr}: {steps or f'not within {epochs} epochs'}", flush=True)
                if steps is not None:
                    best[activation] = min(steps, best.get(activation, steps))
    if len(best) == 2:
        relu, tanh = best["relu"], best["tanh"]
        print(f"steps to {1 - TRAINING_ACCURACY:.0%} training error: ReLU {relu}, tanh {tanh}: {tanh / relu:.1f} times")


if __name__ == "__main__":
    chosen = [float(argument) for argument in sys.argv[1:]]
    main(int(chosen[0]) if chosen else EPOCHS, tuple(chosen[1:]) or LEARNING_RATES)
