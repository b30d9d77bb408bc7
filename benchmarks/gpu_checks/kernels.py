"""Measure what each kernel of `training/kernels/table.py` gains on the GPU: the bare loop with and without it.

The loops run by turns; a speedup is the median over the turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from alexplore.training.kernels.table import Kernels, choose_kernels, with_and_without
from gpu_checks.backend import timed, worker_settings
from gpu_checks.bench import Bench, Check, Outcome, attempt, expect
from gpu_checks.speed import PRESETS, Bare, free_memory, loaded

PRECISION = "bf16"
TURNS, WINDOW_SECONDS, WARM_UP = 3, 0.15, 8  # the steps of a warm-up choose algorithms and are captured


def run(bench: Bench) -> Outcome:
    """Measure the speedup of a step of each preset by each kernel."""
    gains: dict[str, dict[str, float]] = {}
    checks = attempt({name: partial(_measured, name, bench, gains) for name in PRESETS})
    return Outcome(checks, {"speedups": gains, "precision": PRECISION})


def _measured(name: str, bench: Bench, gains: dict[str, dict[str, float]]) -> Iterator[Check]:
    """Measure a preset; the speedups by kernel are added to `gains`."""
    device, batch = torch.device(bench.device), 4 if bench.dry else 128
    preset = loaded(name, bench)
    recipe = replace(preset.recipe, precision=PRECISION, batch_size=batch)
    used = choose_kernels(device.type)
    pairs = {kernel: with_and_without(kernel, used) for kernel in sorted(used)}
    with worker_settings(device):
        loops: dict[Kernels, Bare] = {}
        for kernels in dict.fromkeys(one for pair in pairs.values() for one in pair):
            loops[kernels] = Bare(preset, recipe, batch, device, kernels)
            loops[kernels].train(1 if bench.dry else WARM_UP)
        seconds: dict[Kernels, list[float]] = {kernels: [] for kernels in loops}
        steps = 1
        if not bench.dry:
            steps = max(1, round(WINDOW_SECONDS * 2 / timed(lambda: loops[used].train(2), device)))
        for _ in range(1 if bench.dry else TURNS):
            for kernels, loop in loops.items():
                seconds[kernels].append(timed(partial(loop.train, steps), device))
    gains[name] = {
        kernel: statistics.median(b / a for a, b in zip(seconds[with_it], seconds[without], strict=True))
        for kernel, (with_it, without) in pairs.items()
    }
    loops.clear()
    free_memory()
    yield expect(name, True, ", ".join(f"{kernel} {gain:.2f}" for kernel, gain in gains[name].items()))
