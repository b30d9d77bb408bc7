"""The speedups in `alexplore/training/kernels/table.py`: a training step of a preset with and without each kernel.

    python -m benchmarks kernels [--processor CLASS] [--preset P] [--kernel K] [--turns N] [--batch IMAGES --wall]

A step is forward pass, backward pass and update on random images. It is measured with all kernels of a class of
processor and without one of them, by the processor time of one thread, or, with `--wall`, by the wall clock on all
processors. A class below this machine's is measured in its own process, which restricts PyTorch, oneDNN and MKL to the
instructions of that class. A kernel that gains less than `GAIN` for every preset on every class must be deleted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch
from results import report
from turns import CPU, Turns, take_turns

from alexplore.presets.library import load_preset
from alexplore.runs.kernel_choice import PROCESSORS
from alexplore.training.hardware import prepare
from alexplore.training.kernels.processor import processor_class
from alexplore.training.kernels.table import GAIN, TABLE, Kernels, available, kernels_of, with_and_without
from alexplore.training.model.build import build
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.objective import Objective
from alexplore.training.optim import make_optimizer
from alexplore.training.precision import Precision

BATCHES = {"fmnist-28": 128, "lenet": 128, "fmnist": 16, "torchvision": 16, "paper": 8}
"""The measured presets, each with a batch size that takes a second or less."""

RESTRICTIONS = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "avx512_bf16": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
}
"""The environment that restricts a better processor to a class, by class."""

PRECISIONS = {"avx512_bf16": ("bf16", "fp32"), "amx": ("bf16", "fp32")}
"""The measured precisions by class of processor; fp32 for other classes."""


class Step:
    """A training step on random images."""

    def __init__(self, preset: str, precision: str, kernels: Kernels, batch: int) -> None:
        loaded = load_preset(preset)
        model = build(loaded.network, 0, kernels).train()
        self.objective = Objective(model, loaded.recipe, Precision(precision, CPU))
        self.guard = NonfiniteGuard(make_optimizer(loaded.recipe, model, kernels=kernels), CPU)
        self.inputs = torch.randn(batch, *loaded.network.input).contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(loaded.network.classes or 10, (batch,))

    def __call__(self) -> None:
        loss, _ = self.objective(self.inputs, self.labels)
        self.guard.step(loss, 1e-6)


def differs(preset: str, kernel: str) -> bool:
    """Return whether a kernel changes anything about a preset."""
    network = load_preset(preset).network
    types = {layer.type for layer in network.layers}
    if kernel in ("lrn", "compiled-lrn"):
        return "local_response_norm" in types
    if kernel == "fused":
        return True
    return any(getattr(layer, "tile_outputs", None) for layer in build(network, 0, Kernels({kernel})).children())


def measure(preset: str, precision: str, kernel: str, used: Kernels, options: argparse.Namespace) -> Turns:
    """Measure a step with a kernel, and without it and those that do the same; all others are used."""
    batch = options.batch or BATCHES[preset]
    steps = {
        name: Step(preset, precision, kernels, batch)
        for name, kernels in zip(("with", "without"), with_and_without(kernel, used), strict=True)
    }
    return take_turns(steps, precision, options.turns, wall_clock=options.wall)


def measure_here(processor: str, options: argparse.Namespace) -> None:
    """Measure every kernel for every preset in this process, and report the results."""
    prepare(CPU)
    used = available(kernels_of(processor))
    for kernel in options.kernel or available(Kernels(name for name in TABLE if TABLE[name].on_cpu)):
        for preset in options.preset or BATCHES:
            if not differs(preset, kernel):
                continue
            for precision in PRECISIONS.get(processor, ("fp32",)):
                if kernel.startswith("tiles") and precision != "fp32":
                    continue
                turns = measure(preset, precision, kernel, used, options)
                factor = turns.ratio("without", "with")
                batch = options.batch or BATCHES[preset]
                name = f"{PROCESSORS[processor].title}, {kernel}, {preset} in {precision}, batch {batch}"
                report(name, factor, goal=f"{GAIN}", turns=turns)


def run(arguments: list[str]) -> None:
    """Measure the classes that this machine supports, each in its own process."""
    options = parse(arguments)
    if options.here:
        measure_here(options.processor[-1], options)
        return
    for processor in options.processor or measurable(processor_class("cpu")):
        command = [sys.executable, str(Path(__file__)), *arguments, "--here", "--processor", processor]
        subprocess.run(command, env={**os.environ, **RESTRICTIONS.get(processor, {})}, check=True)


def measurable(own: str) -> list[str]:
    """Return the classes of processor that this machine supports, and its own class."""
    below = list(RESTRICTIONS)
    if own in below:
        return below[: below.index(own) + 1]
    return [*below, own] if own == "amx" else [own]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processor", action="append", choices=[*PROCESSORS])
    parser.add_argument("--preset", action="append", choices=[*BATCHES])
    parser.add_argument("--kernel", action="append", choices=[*TABLE])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
