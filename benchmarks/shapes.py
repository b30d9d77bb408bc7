"""`alexplore shapes --preset torchvision` beside a script that prints torchinfo's summary of the same network.

Whole processes, taking turns in one run: seconds, processor seconds and peak memory, and their ratios.

    python benchmarks/shapes.py [TURNS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

OURS = [sys.executable, "-m", "alexplore", "shapes", "--preset", "torchvision"]
THEIRS = [
    sys.executable,
    "-c",
    "from torchinfo import summary\n"
    "from torchvision.models import alexnet\n"
    "summary(alexnet(), (1, 3, 224, 224), verbose=1)",
]
FASTER, SMALLER = 25.0, 20.0
# Bytecode is kept, as that of an installed program is.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Cost(NamedTuple):
    """Of one process."""

    seconds: float
    cpu_seconds: float
    mebibytes: float


def cost(command: list[str]) -> Cost:
    """Run a command to its end; its output goes nowhere."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with exit code {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main(turns: int) -> None:
    """Measure and print; the middle of the turns' ratios counts."""
    cost(OURS), cost(THEIRS)  # fill the caches
    pairs = [(cost(OURS), cost(THEIRS)) for _ in range(turns)]

    def middle(value: Callable[[Cost], float], which: int) -> float:
        return statistics.median(value(pair[which]) for pair in pairs)

    def ratio(value: Callable[[Cost], float]) -> float:
        return statistics.median(value(theirs) / value(ours) for ours, theirs in pairs)

    for name, which in (("alexplore shapes", 0), ("torchinfo", 1)):
        print(
            f"{name:17} {middle(lambda c: c.seconds, which):7.3f} s, of the processor "
            f"{middle(lambda c: c.cpu_seconds, which):6.3f} s, {middle(lambda c: c.mebibytes, which):6.1f} MiB"
        )
    faster, smaller = ratio(lambda c: c.seconds), ratio(lambda c: c.mebibytes)
    print(f"time    1/{faster:.1f} (goal 1/{FASTER:.0f}), of the processor 1/{ratio(lambda c: c.cpu_seconds):.1f}")
    print(f"memory  1/{smaller:.1f} (goal 1/{SMALLER:.0f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
