"""Runs that are killed at random, and what must hold afterwards. The tests and the soak share it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import is_locked, read_status
from alexplore.training.checkpoint import load
from tests.support.runs import steps_done
from tests.support.waiting import wait_until

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
VICTIMS = ("worker", "rank", "follower")
"""The worker is the launcher if a run has several ranks."""

MOMENTS = ("starting", "preparing", "training", "saving")
"""Evaluations are met at random while training: they take about half of the time."""

LONGEST = {"starting": 1.5, "preparing": 4.0, "training": 2.0, "saving": 0.0}
"""Seconds from the start, or from the first step for the last two, in which the moment is drawn."""

ENDED = ("stopped", "finished", "failed", "crashed")


@dataclass(frozen=True)
class Kill:
    """One kill, and what came of it."""

    victim: str
    moment: str
    number: signal.Signals
    state: str
    """The state that the run ended in."""

    seconds: float
    """The time from the kill until the run had ended; with a killed follower it goes on to its own end."""

    left: float
    """The time from then until no process and no lock was left."""


def processes_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the processes that train or follow a run, zombies left out."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = any(str(run.path) in argument for argument in process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def start_following(run: RunDirectory) -> subprocess.Popen[bytes]:
    """Start a run, or resume it, from a command line that follows it."""
    return subprocess.Popen(
        [sys.executable, "-m", "alexplore", "runs", "resume", str(run.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def worker_of(run: RunDirectory) -> psutil.Process | None:
    """Return the worker of a run, which is the launcher if it has several ranks."""
    return next((process for process, rank in _training(run) if rank is None), None)


def ranks_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the ranks that a worker has launched, by number; not the processes that decode their images."""
    ranks = {rank: process for process, rank in _training(run) if rank is not None}
    return [ranks[rank] for rank in sorted(ranks)]


def _training(run: RunDirectory) -> Iterator[tuple[psutil.Process, int | None]]:
    """Yield the processes that train a run, with the numbers of ranks; parents come after their children."""
    for process in reversed(processes_of(run)):
        try:
            command, rank = process.cmdline(), process.environ().get("RANK")
        except psutil.Error:
            continue
        if any("alexplore.training" in part for part in command):
            yield process, None if rank is None else int(rank)


def _find(
    run: RunDirectory, follower: subprocess.Popen[bytes], victim: str, rng: random.Random
) -> psutil.Process | None:
    if victim == "follower":
        return psutil.Process(follower.pid) if follower.poll() is None else None
    if victim == "rank":
        ranks = ranks_of(run)
        return rng.choice(ranks) if ranks else worker_of(run)
    return worker_of(run)


def _is_saving(run: RunDirectory) -> bool:
    return any(run.checkpoints_folder.glob(".*"))


def kill_at_random(run: RunDirectory, rng: random.Random, victims: tuple[str, ...] = VICTIMS) -> Kill | None:
    """Start a run, kill one of its processes at a moment that is drawn, and wait for the end of what is left.

    Returns None if the run had finished before.
    """
    victim, moment, number = rng.choice(victims), rng.choice(MOMENTS), rng.choice(SIGNALS)
    delay = rng.uniform(0, LONGEST[moment])
    follower = start_following(run)
    try:
        before = steps_done(run)
        if moment in ("training", "saving"):
            wait_until(
                lambda: steps_done(run) > before or read_status(run).state in ENDED, "a step", lambda: _tail(run)
            )
        time.sleep(delay)
        if moment == "saving":
            deadline = time.monotonic() + 5
            while not _is_saving(run) and time.monotonic() < deadline:
                time.sleep(0.001)
        process = _find(run, follower, victim, rng)
        if process is None:
            wait_until(lambda: follower.poll() is not None, "the end", lambda: _tail(run))
            return None
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return None
        started = time.monotonic()
        wait_until(lambda: _has_ended(run), f"{victim} {number.name} {moment}", lambda: _tail(run))
        seconds = time.monotonic() - started
        wait_until(lambda: not processes_of(run) and not is_locked(run), "no process left", lambda: _tail(run))
        left = time.monotonic() - started - seconds
        return Kill(victim, moment, number, read_status(run).state, seconds, left)
    finally:
        if follower.poll() is None:
            follower.kill()
        follower.wait()


def _has_ended(run: RunDirectory) -> bool:
    """Return whether the state is an end, as it must become after a kill, and no worker is left.

    A run that was resumed is in its old state until its worker is heard.
    """
    return read_status(run).state in ENDED and worker_of(run) is None


def _tail(run: RunDirectory) -> str:
    return f"{read_status(run)}\n" + "\n".join(run.console_tail(30))


def check_files(run: RunDirectory, had_checkpoint: bool) -> None:
    """Check that every line is whole, and that a checkpoint can be loaded if there was one."""
    for path in (run.events_file, run.metrics_file):
        numbers = [json.loads(line)["seq"] for line in _lines(path)]
        assert numbers == list(range(len(numbers))), path
    warnings: list[str] = []
    if had_checkpoint:
        assert load(run.checkpoints_folder, warnings.append) is not None
    assert not warnings


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; one that a kill has torn must be the last one, and have no newline."""
    content = path.read_bytes() if path.exists() else b""
    yield from content[: content.rfind(b"\n") + 1].splitlines()


def train_to_the_end(run: RunDirectory) -> None:
    """Start or resume a run, if it has not finished yet, and wait until it has."""
    if read_status(run).state != "finished":
        assert start_following(run).wait(300) == 0, _tail(run)
    assert read_status(run).state == "finished"
    wait_until(lambda: not processes_of(run) and not is_locked(run), "no process left", lambda: _tail(run))
