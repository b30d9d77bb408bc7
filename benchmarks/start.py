"""Measure the time from the start of a run to its first metric, with a new and a waiting worker, beside `import torch`.

    python benchmarks/start.py [TURNS]

A waiting worker, as the app's form starts one, has already imported torch. The preset is `fmnist-28`. The images are
Fashion-MNIST's if they are on this machine, else synthetic.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from results import report
from turns import figure, take_turns
from workers import started_worker

from alexplore.presets.library import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.data.dataset_shapes import dataset_need
from alexplore.runs.directory import create_run
from alexplore.runs.launch import WaitingWorker

IMPORT_GOAL, WAITING_GOAL = 1.25, 1.0
READY_SECONDS = 8.0
"""The time in which a waiting worker imports torch."""


def seconds_to_first_metric(folder: Path, waiting: WaitingWorker | None) -> float:
    """Start a run, wait for its first metric, and end the run; return the seconds until the metric."""
    preset = load_preset("fmnist-28")
    dataset = "fashion-mnist" if dataset_need("fashion-mnist") == "here" else "synthetic"
    recipe = replace(preset.recipe, dataset=dataset, epochs=1000)
    config = RunConfig("fmnist-28", preset.network, recipe, Hardware(device="cpu"), DataSource(download=False))
    run = create_run(config, folder)
    started = time.perf_counter()
    with started_worker(run, waiting) as process:
        while not (run.metrics_file.exists() and run.metrics_file.stat().st_size):
            if process.poll() is not None:
                sys.exit(f"the worker has ended: {run.console_tail(5)}")
            time.sleep(0.002)
        return time.perf_counter() - started


def main(turns: int) -> None:
    """Measure and report the results."""
    times: dict[str, list[float]] = {"new": [], "waiting": []}

    def start(kind: str, folder: Path) -> None:
        waiting = None
        if kind == "waiting":
            waiting = WaitingWorker()
            time.sleep(READY_SECONDS)
        times[kind].append(seconds_to_first_metric(folder, waiting))

    with tempfile.TemporaryDirectory() as base:
        tasks: dict[str, Callable[[], object]] = {
            "new": partial(start, "new", Path(base)),
            "waiting": partial(start, "waiting", Path(base)),
            "import": lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True),
        }
        taken = take_turns(tasks, "fp32", turns)
    report("import torch", taken.seconds("import"), "s")
    report("start to first metric, a new worker", figure(times["new"]), "s")
    report("that over import torch", taken.ratio("new", "import"), goal=f"at most {IMPORT_GOAL}", turns=taken)
    report("start to first metric, a waiting worker", figure(times["waiting"]), "s", goal=f"at most {WAITING_GOAL:g} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
