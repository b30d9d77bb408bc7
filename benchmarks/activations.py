"""Measure how much sooner ReLU learns than tanh: the paper's figure 1, on the nearest published network.

Trains `cifar10-relu` and `cifar10-tanh` at several learning rates and prints the steps until so many of the training
images are misclassified, averaged over the steps of the last tenth of an epoch. The paper says six times sooner to
25 %, on CIFAR-10, each at its own best rate, without regularisation.

    python benchmarks/activations.py [--data FOLDER] [--epochs N] [--default-init] [--device cuda] [LR]...

`--data` names a folder of CIFAR-10's images as train/CLASS and test/CLASS; without it, the networks get one input
channel and Fashion-MNIST. `--default-init` draws the weights as PyTorch does, not as the source of the network says.
A training ends when it has taken more steps than the best rate so far.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import product
from math import inf
from pathlib import Path

from alexplore.presets.library import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.lines import LineReader

ERRORS = (0.25, 0.15)


def config_of(
    activation: str, lr: float, epochs: int, *, data: Path | None, default_init: bool, device: str
) -> RunConfig:
    """Return the preset's network and recipe, on the images of a folder or on Fashion-MNIST."""
    preset = load_preset(f"cifar10-{activation}")
    network = preset.network if data else preset.network.with_input(1, *preset.network.input[1:])
    for index, layer in enumerate(network.layers):
        if default_init and hasattr(layer, "init"):
            network = network.change(index, {"init": None})
    recipe = replace(
        preset.recipe, dataset="imagefolder" if data else "fashion-mnist", lr=lr, epochs=epochs, precision="fp32"
    )
    source = DataSource(folder=str(data), limit_val=200) if data else DataSource()
    return RunConfig(preset.name, network, recipe, Hardware(device=device), source)


def steps_to(errors: tuple[float, ...], config: RunConfig, folder: Path, most: float) -> dict[float, int]:
    """Train until the last of some training errors, which fall, or for `most` steps; return the steps to each error."""
    run = create_run(config, folder)
    worker = subprocess.Popen(
        [sys.executable, "-m", "alexplore.training.worker", str(run.path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    reader, seen, reached, step = LineReader(run.metrics_file), list[tuple[float, float]](), dict[float, int](), 0
    try:
        while len(reached) < len(errors) and step <= most:
            ended = worker.poll() is not None
            for line in reader.read():
                if "train/acc" not in line:
                    continue
                step = int(line["step"])
                seen.append((line["epoch"], line["train/acc"]))
                recent = [accuracy for epoch, accuracy in seen if epoch > line["epoch"] - 0.1]
                error = 1 - sum(recent) / len(recent)
                for goal in errors if line["epoch"] >= 0.1 else ():
                    if error <= goal:
                        reached.setdefault(goal, step)
            if ended:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(1.0)
    finally:
        worker.kill()
        worker.wait()
    return reached


def main(epochs: int, rates: list[float], *, data: Path | None, default_init: bool, device: str) -> None:
    """Train both networks at all rates, and print the best of each."""
    errors = ERRORS[:1] if data else ERRORS
    best: dict[tuple[str, float], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for activation, lr in product(("relu", "tanh"), rates):
            config = config_of(activation, lr, epochs, data=data, default_init=default_init, device=device)
            most = best.get((activation, errors[-1]), inf)
            reached = steps_to(errors, config, Path(folder), most)
            words = [f"{reached[goal]} steps to {goal:.0%}" for goal in errors if goal in reached]
            failed = f"not within {most if most < inf else f'{epochs} epochs'}"
            print(f"{activation}, lr {lr}: {', '.join(words) or failed}", flush=True)
            for goal, steps in reached.items():
                best[activation, goal] = min(steps, best.get((activation, goal), steps))
    for goal in errors:
        relu, tanh = best.get(("relu", goal)), best.get(("tanh", goal))
        if relu and tanh:
            print(f"steps to {goal:.0%} training error: ReLU {relu}, tanh {tanh}: ReLU {tanh / relu:.1f} times sooner")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lr", nargs="*", type=float, default=[0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--default-init", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    chosen = parser.parse_args()
    main(chosen.epochs, chosen.lr, data=chosen.data, default_init=chosen.default_init, device=chosen.device)
