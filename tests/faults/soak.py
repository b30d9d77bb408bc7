"""`python -m tests.faults.soak MINUTES`: start, watch, kill and resume runs, and show that nothing grows.

Each round starts a run with one or two ranks, watches it from this process, kills a process of it at random or asks it
to stop, resumes it to its end and removes it; another run stays, and is listed and watched in every round. An app stays
open on the list of runs. A line a minute shows what this process, the app and the machine hold: open descriptors,
memory, threads, processes of runs, temporary files.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, astuple, dataclass, fields, replace
from math import inf
from pathlib import Path

import psutil

from alexplore.core.errors import STOPPED
from alexplore.network.graph import read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.log import RunLog
from alexplore.runs.service import ask, remove
from alexplore.runs.status import is_locked
from alexplore.runs.summary import RunList
from alexplore.runs.watch import Watch
from tests.faults.kill_plan import drawn_start
from tests.faults.kills import SLOW, Started, check_files, train_to_the_end
from tests.faults.run_processes import App, processes_of, start_following
from tests.support.networks import SMALL
from tests.support.runs import steps_done
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Level:
    """What is held between two rounds."""

    rounds: int
    kills: int
    stops: int
    descriptors: int
    memory_mib: int
    threads: int
    children: int
    left_processes: int
    locks: int
    temporary: int
    shared_memory: int
    app_descriptors: int
    app_memory_mib: int
    app_threads: int


MAY_GROW: Mapping[str, float] = {"rounds": inf, "kills": inf, "stops": inf, "memory_mib": 10, "app_memory_mib": 10}
"""By how much a level may grow from the first line to the last; all others by nothing."""


def measure(rounds: int, kills: int, stops: int, folder: Path, app: psutil.Process) -> Level:
    """Return what this process, an app and the runs in a folder hold."""
    this = psutil.Process()
    runs = list_runs(folder)
    shared = Path("/dev/shm")
    return Level(
        rounds,
        kills,
        stops,
        this.num_fds(),
        this.memory_info().rss // 2**20,
        this.num_threads(),
        sum(1 for child in this.children(recursive=True) if child.pid != app.pid),
        sum(process.pid != app.pid for run in runs for process in processes_of(run)),
        sum(is_locked(run) for run in runs),
        sum(1 for path in Path(tempfile.gettempdir()).iterdir() if path != folder),
        sum(1 for _ in shared.iterdir()) if shared.is_dir() else 0,
        app.num_fds(),
        app.memory_info().rss // 2**20,
        app.num_threads(),
    )


def make(folder: Path, name: str, ranks: int, epochs: int) -> RunDirectory:
    """Create a run of a small network."""
    limits = {key: value for key, value in SLOW.items() if key.startswith("limit")}
    recipe = replace(
        Recipe(), dataset="synthetic", optimizer="adam", precision="fp32", epochs=epochs,
        **{key: value for key, value in SLOW.items() if key not in limits},
    )  # fmt: skip
    config = RunConfig("soak", read_network(SMALL), recipe, Hardware("cpu", ranks), DataSource(**limits))
    return create_run(config, folder, name)


def stop(run: RunDirectory) -> bool:
    """Start a run, ask it to stop, and return whether it did before it had finished."""
    follower = start_following(run)
    steps = steps_done(run)
    wait_until(lambda: steps_done(run) > steps or follower.poll() is not None, "a step")
    with suppress(RunError):  # it has finished
        ask(run, "stop")
    return follower.wait() == STOPPED


def soak(minutes: float, seed: int) -> int:
    """Go on for so many minutes, print a line a minute, and return 1 if something was left or grew, else 0."""
    rng = random.Random(seed)
    levels: list[Level] = []
    with tempfile.TemporaryDirectory(prefix="soak-") as base:
        folder = Path(base) / "runs"
        Path(base, "tmp").mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(Path(base, "tmp"))
        kept = make(folder, "kept", 1, 5)
        train_to_the_end(kept)
        lists, watched = RunList(), Watch(kept)
        app = App(kept)
        app.press("3")
        shown = psutil.Process(app.process.pid)
        start = printed = time.monotonic()
        rounds = kills = stops = 0
        print("minute", *(field.name for field in fields(Level)), sep="\t", flush=True)
        while time.monotonic() - start < 60 * minutes:
            ranks = rng.choice((1, 1, 2))
            run = make(folder, f"round{rounds}", ranks, 12)
            for resumed in range(rng.randint(1, 2)):
                had_checkpoint = (run.checkpoints_folder / "last").is_dir()
                if rng.random() < 0.25:
                    stops += stop(run)
                else:
                    with ExitStack() as stack:
                        kills += len(list(Started(run, drawn_start(ranks, bool(resumed), rng), rng, stack).kills()))
                check_files(run, had_checkpoint)
                list(RunLog().new_lines(Watch(run).poll()))
                lists.summarise(list_runs(folder))
                watched.poll()
            train_to_the_end(run)
            remove(run)
            rounds += 1
            if time.monotonic() - printed > 60 or not levels:
                printed = time.monotonic()
                levels.append(measure(rounds, kills, stops, folder, shown))
                print(f"{(printed - start) / 60:.1f}", *astuple(levels[-1]), sep="\t", flush=True)
        levels.append(measure(rounds, kills, stops, folder, shown))
        print(f"{(time.monotonic() - start) / 60:.1f}", *astuple(levels[-1]), sep="\t", flush=True)
        app.close()
    first, last = (asdict(level) for level in (levels[0], levels[-1]))
    grew = [name for name, level in last.items() if level - first[name] > MAY_GROW.get(name, 0)]
    print(f"grew: {', '.join(grew) or 'nothing'}")
    return 1 if grew else 0


if __name__ == "__main__":
    sys.exit(soak(float(sys.argv[1]), seed=0))
