"""Training with two ranks on this machine's processors: data parallel beside one rank, and towers beside data parallel.

    python benchmarks/ranks.py [PRESET]... [--precision fp32|bf16] [--turns N] [--seconds S]

Each way is a run that trains for some seconds a turn (see `turns`) on synthetic images, while the others are paused.
One rank has all processors, two ranks share them.
"""

from __future__ import annotations

import os
from dataclasses import replace

from paused_runs import compare_runs, option_parser
from results import report

from alexplore.presets.library import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig

RANKS_GOAL, TOWERS_GOAL = 0.95, 0.9
ONE, TWO, TOWERS = "one rank", "two ranks", "two towers"
WITH_TOWERS = ("paper",)

IMAGES = 200_000
"""So many that no epoch ends while it is measured."""


def measure(preset: str, precision: str, turns: int, seconds: float) -> None:
    """Report the images a second of each way, and the ratios."""
    loaded = load_preset(preset)
    recipe = replace(loaded.recipe, dataset="synthetic", precision=precision, resize=None, random_crop=False)
    data = DataSource(limit_train=IMAGES, limit_val=recipe.batch_size)
    ways = {ONE: Hardware(device="cpu", gpus=1), TWO: Hardware(device="cpu", gpus=2)}
    if preset in WITH_TOWERS:
        ways[TOWERS] = Hardware(device="cpu", gpus=2, parallel="towers")
    configs = {way: RunConfig(preset, loaded.network, recipe, hardware, data) for way, hardware in ways.items()}
    rates = compare_runs(configs, precision, turns, seconds)
    name = f"{preset}, {precision}"
    for way in ways:
        report(f"{name}, {way}", rates.figure(way), "images/s", ".1f")
    pairs = [(TWO, ONE, RANKS_GOAL)] + [(TOWERS, TWO, TOWERS_GOAL)] * (TOWERS in ways)
    for one, other, goal in pairs:
        report(f"{name}, {one} over {other}", rates.ratio(one, other), goal=str(goal), turns=rates.turns)


if __name__ == "__main__":
    parser = option_parser(__doc__ or "", ["fmnist-28", "torchvision", "paper"])
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} processors", flush=True)
    for preset in chosen.presets:
        measure(preset, chosen.precision, chosen.turns, chosen.seconds)
