"""Read the files of runs, create runs as a worker leaves them, and wait for a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineReader, LineWriter
from alexplore.runs.reconfigure import changed_config, write_config
from alexplore.runs.status import Status, read_status, write_status
from tests.support.waiting import wait_until

TIMED = ("machine/", "time/", "forward_time/")
"""Prefixes of the keys of metrics that depend on the machine and on time."""


def change_run(run: RunDirectory, changes: Mapping[str, Any]) -> None:
    """Change settings of a run that is not being trained, as `runs resume` does."""
    write_config(run, changed_config(run, changes))


def events(run: RunDirectory, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the lines of events.jsonl, all or those of one kind."""
    return [event for event in LineReader(run.events_file).read() if kind in (None, event.get("event"))]


def metrics(run: RunDirectory) -> dict[tuple[str, int], float]:
    """Return the last value of each metric at each step in metrics.jsonl, without those that depend on time."""
    found = {}
    for line in LineReader(run.metrics_file).read():
        for key, value in line.items():
            if ("/" in key or key == "lr") and not key.startswith(TIMED):
                found[key, int(line["step"])] = value
    return found


def steps_done(run: RunDirectory) -> int:
    """Return the last step in metrics.jsonl."""
    return max((step for _, step in metrics(run)), default=0)


def wait_for_worker(run: RunDirectory, condition: Callable[[], object], what: str) -> None:
    """Wait until a worker has made a condition true; if it does not, fail the test with the worker's output."""
    wait_until(condition, what, lambda: f"{read_status(run)}\n" + "\n".join(run.console_tail(30)))


def wait_for_steps(run: RunDirectory, steps: int) -> None:
    """Wait until metrics.jsonl has reached a step."""
    wait_for_worker(run, lambda: steps_done(run) >= steps, f"step {steps}")


def wait_for_state(run: RunDirectory, state: str) -> None:
    """Wait until a run is in a state."""
    wait_for_worker(run, lambda: read_status(run).state == state, state)


def finished_run(config: RunConfig, folder: Path, name: str, accuracy: float) -> RunDirectory:
    """Return a run with the files that a worker leaves behind after two epochs of four steps each."""
    run = create_run(config, folder, name)
    with LineWriter(run.metrics_file, attempt=0) as writer:
        for step in range(1, 9):
            writer.append(
                step=step, epoch=step / 4, images_per_second=100.0, **{"train/loss": 1 / step, "train/acc": 0.5}
            )
        writer.append(step=8, epoch=2, **{"val/loss": 0.5, "val/acc": accuracy})
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(event="epoch", epoch=2, step=8, seconds=1.0, **{"val/acc": accuracy})
    write_status(run, Status("finished", step=8, epoch=2.0, updated=time.time()))
    return run
