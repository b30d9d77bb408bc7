"""Measure `alexplore shapes --preset torchvision` beside a script that prints torchinfo's summary of the same network.

Whole processes take turns in one run (see `turns`); seconds, processor seconds, peak memory and ratios are printed.

    python benchmarks/shapes.py [TURNS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from typing import NamedTuple

from results import report
from turns import figure, take_turns

OURS = [sys.executable, "-m", "alexplore", "shapes", "--preset", "torchvision"]
THEIRS = [
    sys.executable,
    "-c",
    "from torchinfo import summary\n"
    "from torchvision.models import alexnet\n"
    "summary(alexnet(), (1, 3, 224, 224), verbose=1)",
]
FASTER, SMALLER = 25.0, 20.0
# Bytecode is cached, as for an installed program.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Cost(NamedTuple):
    """The time and memory of one process."""

    seconds: float
    cpu_seconds: float
    mebibytes: float


def cost(command: list[str]) -> Cost:
    """Run a command and return its cost; its output is discarded."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with exit code {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main(turns: int) -> None:
    """Measure and print the results."""
    costs: dict[str, list[Cost]] = {"alexplore shapes": [], "torchinfo": []}
    commands = {"alexplore shapes": OURS, "torchinfo": THEIRS}
    tasks = {name: partial(lambda name: costs[name].append(cost(commands[name])), name) for name in commands}
    taken = take_turns(tasks, "fp32", turns)
    for name in commands:
        report(f"{name}, seconds", taken.seconds(name), "s", ".3f")
        report(f"{name}, of the processor", figure([one.cpu_seconds for one in costs[name]]), "s", ".3f")
        report(f"{name}, memory", figure([one.mebibytes for one in costs[name]]), "MiB", ".1f")
    report(
        "torchinfo over alexplore shapes, time",
        taken.ratio("torchinfo", "alexplore shapes"),
        format=".1f",
        goal=f"{FASTER:.0f}",
        turns=taken,
    )
    pairs = zip(costs["alexplore shapes"], costs["torchinfo"], strict=True)
    ratios = figure([theirs.mebibytes / ours.mebibytes for ours, theirs in pairs])
    report("torchinfo over alexplore shapes, memory", ratios, format=".1f", goal=f"{SMALLER:.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
