"""A queue whose runner and worker are killed goes on with the next runner, and every run ends."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.network.graph import read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.queue import Queue
from alexplore.runs.queue_runner import start_runner
from alexplore.runs.status import read_status
from tests.support.networks import SMALL
from tests.support.waiting import wait_until

CONFIG = RunConfig(
    "small",
    read_network(SMALL),
    Recipe(dataset="synthetic", epochs=3, batch_size=16, precision="fp32"),
    Hardware("cpu"),
    DataSource(limit_train=75, limit_val=31),
)


@pytest.mark.faults
@pytest.mark.usefixtures("heavy")
def test_killed_with_its_worker_it_goes_on(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "runs")
    long = replace(CONFIG, recipe=replace(CONFIG.recipe, epochs=100_000))
    first, second = queue.add(long, "first"), queue.add(CONFIG, "second")
    start_runner(queue)
    wait_until(lambda: read_status(queue.run(first)).state == "running", "the first run")
    wait_until(lambda: queue.run(first).has_checkpoint, "a checkpoint")
    assert queue.has_runner
    worker = read_status(queue.run(first)).pid
    (runner,) = children_named("alexplore.runs.queue_runner", str(queue.runs))
    for process in (runner, worker):
        assert process is not None
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: read_status(queue.run(first)).state == "crashed" and not queue.has_runner, "the crash")
    start_runner(queue)
    wait_until(lambda: read_status(queue.run(first)).state == "running", "the resumed run")
    os.kill(read_status(queue.run(first)).pid or 0, signal.SIGTERM)
    wait_until(lambda: read_status(queue.run(second)).state == "finished", "the second run")
    wait_until(lambda: not queue.has_runner, "the end of the runner")
    assert (queue.waiting(), queue.running(), queue.refused()) == ([], [], [])
    assert read_status(queue.run(first)).state == "stopped"


def children_named(*words: str) -> list[int]:
    """Return the processes whose command line has all of some words as arguments."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            arguments = (folder / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if folder.name.isdigit() and set(words) <= set(arguments):
            found.append(int(folder.name))
    return found
