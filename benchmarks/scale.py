"""Measure processor time and memory for a run of a million lines of metrics, and for a thousand runs.

The time of parsing the same lines with the standard library's `json` is printed beside them.

    python benchmarks/scale.py [LINES] [RUNS]
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run, list_runs
from alexplore.runs.listing import Listing
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import FEW_BLOCKS, Watch

EPOCHS = 100
START = 1.78e9  # seconds since 1970
SIZE = (160, 45)


def write_run(folder: Path, name: str, lines: int) -> RunDirectory:
    """Write a finished run with `lines` lines of metrics, as a worker writes them."""
    preset = load_preset("fmnist-28")
    run = create_run(RunConfig(preset.name, preset.network, replace(preset.recipe, epochs=EPOCHS)), folder, name)
    epoch_steps = max(1, lines // EPOCHS)
    now, sequence, events = START, 0, 0

    def line(number: int, values: dict[str, Any]) -> str:
        return json.dumps({"v": 1, "seq": number, "attempt": 0, "time": round(now, 3), **values}) + "\n"

    with run.metrics_file.open("w") as metrics, run.events_file.open("w") as event_lines:
        for step in range(1, lines + 1):
            now += 0.01
            loss = 2.3 / math.sqrt(1 + step / 1000) + 0.1 * math.sin(12.9898 * step)
            values = {"step": step, "epoch": step / epoch_steps, "train/loss": loss, "train/acc": math.exp(-loss)}
            metrics.write(line(sequence, {**values, "lr": 0.01, "images_per_second": 3500.0 + step % 100}))
            sequence += 1
            epoch, rest = divmod(step, epoch_steps)
            if rest == 0:
                result = {"val/loss": loss, "val/acc": math.exp(-loss)}
                metrics.write(line(sequence, {"step": step, "epoch": float(epoch), **result}))
                event_lines.write(
                    line(events, {"event": "epoch", "epoch": epoch, "step": step, "seconds": now - START, **result})
                )
                sequence, events = sequence + 1, events + 1
    write_status(run, Status("finished", step=lines, epoch=float(EPOCHS), updated=now))
    return run


def memory() -> float:
    """Return the peak memory of the process so far, in MiB."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # On Linux that of `resource` includes the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def seconds(function: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    before = time.process_time()
    function()
    return time.process_time() - before


def parse(run: RunDirectory) -> None:
    """Parse the lines of a run."""
    with run.metrics_file.open("rb") as file:
        for line in file:
            json.loads(line)


def open_run(run: RunDirectory) -> None:
    """Open a run as the app does, and print when its first curves and its complete curves are there."""
    before, watch = memory(), Watch(run)
    start = time.process_time()
    snapshot = watch.poll(FEW_BLOCKS)
    print(f"first curves after {time.process_time() - start:.2f} s")
    while not snapshot.whole:
        snapshot = watch.poll(FEW_BLOCKS)
    print(f"whole curves after {time.process_time() - start:.2f} s, {memory() - before:.0f} MiB more than before")
    print(f"points: {', '.join(f'{key} {len(curve.values):,}' for key, curve in snapshot.curves.items())}")
    print(f"json alone: {seconds(lambda: parse(run)):.2f} s")


async def draw(folder: Path, run: RunDirectory) -> None:
    """Watch a run in the app, and print the time of redrawing its curves."""
    from alexplore.tui.app import ExploreApp
    from alexplore.tui.screens.watch import WatchScreen

    app = ExploreApp(load_preset("fmnist-28"), folder)
    async with app.run_test(size=SIZE) as pilot:
        app.state.watch(run)
        await pilot.press("2")
        screen = app.screen
        assert isinstance(screen, WatchScreen)
        while not (screen._run and screen._run.snapshot and screen._run.snapshot.whole):
            await pilot.pause(0.2)
        await pilot.pause(1)
        times = []
        for _ in range(10):
            start = time.process_time()
            screen._draw_curves()
            await pilot.pause()
            times.append(time.process_time() - start)
        print(f"redraw {1000 * sorted(times)[5]:.0f} ms; the app takes {memory():.0f} MiB")


def main(lines: int, runs: int) -> None:
    """Measure a long run, then many runs."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, "long")
        run = write_run(folder, "long", lines)
        print(f"{lines:,} lines, {run.metrics_file.stat().st_size / 2**20:.0f} MiB")
        open_run(run)
        asyncio.run(draw(folder, run))
        many = Path(base, "many")
        for number in range(runs):
            write_run(many, f"run-{number}", 60)
        listing = Listing()
        first = seconds(lambda: listing.read(list_runs(many)))
        again = seconds(lambda: listing.read(list_runs(many)))
        print(f"{runs:,} runs listed in {first:.2f} s, again in {again:.2f} s")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3] or ("1000000", "1000")))
