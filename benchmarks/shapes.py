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


PEAK_MEMORY = """
import os, sys
discard = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=discard), 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Prints the peak memory of a command in KiB.

Linux includes that of the process that starts it, so a small one does: this process has imported torch."""


class Cost(NamedTuple):
    """The time of one process."""

    seconds: float
    cpu_seconds: float


def cost(command: list[str]) -> Cost:
    """Run a command and return its cost; its output is discarded."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with exit code {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime)


def mebibytes(command: list[str]) -> float:
    """Return the peak memory of a command."""
    measuring = [sys.executable, "-S", "-c", PEAK_MEMORY, *command]
    return int(subprocess.run(measuring, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True).stdout) / 1024


def main(turns: int) -> None:
    """Measure and print the results."""
    costs: dict[str, list[Cost]] = {"alexplore shapes": [], "torchinfo": []}
    commands = {"alexplore shapes": OURS, "torchinfo": THEIRS}
    tasks = {name: partial(lambda name: costs[name].append(cost(commands[name])), name) for name in commands}
    taken = take_turns(tasks, "fp32", turns)
    memory = {name: [mebibytes(command) for _ in range(turns)] for name, command in commands.items()}
    for name in commands:
        report(f"{name}, seconds", taken.seconds(name), "s", ".3f")
        report(f"{name}, of the processor", figure([one.cpu_seconds for one in costs[name]]), "s", ".3f")
        report(f"{name}, memory", figure(memory[name]), "MiB", ".1f")
    report(
        "torchinfo over alexplore shapes, time",
        taken.ratio("torchinfo", "alexplore shapes"),
        format=".1f",
        goal=f"{FASTER:.0f}",
        turns=taken,
    )
    ratios = figure([theirs / ours for ours, theirs in zip(*memory.values(), strict=True)])
    report("torchinfo over alexplore shapes, memory", ratios, format=".1f", goal=f"{SMALLER:.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
