"""Measure what each kernel of `training/kernels/table.py` gains on the GPU: the bare loop with and without it.

The loops run by turns; a speedup is the median over the turns. A kernel that gains too little for every preset fails,
as it has to be deleted.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch

from alexplore.training.kernels.table import GAIN, Kernels, choose_kernels, with_and_without
from gpu_checks.backend import timed, worker_settings
from gpu_checks.bench import Bench, Check, Outcome, attempt, expect, skip
from gpu_checks.speed import PRESETS, Bare, free_memory, loaded

PRECISION = "bf16"
TURNS, WINDOW_SECONDS, WARM_UP = 3, 0.15, 8  # the steps of a warm-up choose algorithms and are captured


def run(bench: Bench) -> Outcome:
    """Measure the speedup of a step of each preset by each kernel."""
    gains: dict[str, dict[str, float]] = {}
    attempted = attempt({name: partial(_measured, name, bench, gains) for name in PRESETS})
    kernels = sorted({kernel for one in gains.values() for kernel in one})
    earned = [_earned(kernel, gains, bench) for kernel in kernels]
    return Outcome((*attempted, *earned), {"speedups": gains, "precision": PRECISION})


def _earned(kernel: str, gains: Mapping[str, Mapping[str, float]], bench: Bench) -> Check:
    """Check that a kernel gains enough for the preset that gains most."""
    if bench.dry:
        return skip(kernel, "a dry run is too small to gain")
    preset, gain = max(((name, one.get(kernel, 0.0)) for name, one in gains.items()), key=lambda found: found[1])
    return expect(kernel, gain >= GAIN, f"{gain:.2f} times for {preset}, {GAIN} or more is wanted")


def _measured(name: str, bench: Bench, gains: dict[str, dict[str, float]]) -> tuple[Check, ...]:
    """Measure a preset; the speedups by kernel are added to `gains`. Return no check: only an error is a failure."""
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
    return ()
