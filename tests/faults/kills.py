"""Runs that are killed at random, and what must hold afterwards. The tests and the soak share it."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import Status, is_locked, read_status
from alexplore.runs.summary import RunList
from alexplore.training.checkpoint import load
from tests.support.processes import start_worker
from tests.support.runs import steps_done
from tests.support.waiting import wait_until

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
VICTIMS = ("worker", "rank", "decoder", "follower", "app")
"""The worker is the launcher if a run has several ranks. It stands for ranks and processes that decode images where
there are none yet."""

MOMENTS = ("starting", "preparing", "training", "saving")
"""A run that is made for it is nearly always evaluating when it is training."""

LONGEST = {"starting": 1.5, "preparing": 4.0, "training": 2.0, "saving": 0.0}
"""Seconds from the start, or from the first step for the last two, in which the moment is drawn."""

ENDED = ("stopped", "finished", "failed", "crashed")
SIZE = os.terminal_size((100, 30))


@dataclass(frozen=True)
class Kill:
    """One kill, and what came of it."""

    victim: str
    moment: str
    number: signal.Signals
    state: str
    """The state that the run ended in."""

    reported: float | None
    """The time from the victim's end until a list of runs said how the run ended; None if the run went on."""

    seconds: float
    """The time from the kill until the run had ended; with a killed follower or app it goes on to its own end."""

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


class App:
    """The app on a terminal of its own, which watches a run; one that ended early it resumes, as a person would."""

    def __init__(self, run: RunDirectory) -> None:
        state = read_status(run).state
        resumes = state in ENDED and state != "finished"
        self.worker = None if state in ENDED else start_worker(run)
        self.printed = bytearray()
        self._terminal, inner = pty.openpty()
        os.set_blocking(self._terminal, True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "alexplore", "tui", "--run", str(run.path), "--runs-dir", str(run.path.parent)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env={
                **os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TERM": "xterm-256color",
                "TEXTUAL_ANIMATIONS": "none",
            },
        )  # fmt: skip
        os.close(inner)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if resumes:
            self.press("r")

    def press(self, key: str) -> None:
        """Press a key, once the app has drawn its screen."""
        wait_until(lambda: b"palette" in self.printed or self.process.poll() is not None, "the app", self.text)
        os.write(self._terminal, key.encode())

    def _read(self) -> None:
        """Read what the app prints, so that it never waits for the terminal."""
        with suppress(OSError):  # nobody has the other end open any more
            while printed := os.read(self._terminal, 65536):
                self.printed += printed

    def text(self) -> str:
        """Return what was printed last."""
        return self.printed[-4000:].decode("utf-8", "replace")

    def close(self) -> None:
        """End the app, and close its terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._terminal)
        if self.worker is not None:
            self.worker.wait()


def worker_of(run: RunDirectory) -> psutil.Process | None:
    """Return the worker of a run, which is the launcher if it has several ranks."""
    return next((process for process, rank in _training(run) if rank is None), None)


def ranks_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the ranks that a worker has launched, by number."""
    ranks = {rank: process for process, rank in _training(run) if rank is not None}
    return [ranks[rank] for rank in sorted(ranks)]


def decoders_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the processes that decode images for a worker or a rank."""
    training = {process.pid for process, _ in _training(run)}
    return [process for process, _ in _alexplore_training(run) if process.pid not in training]


def _training(run: RunDirectory) -> list[tuple[psutil.Process, int | None]]:
    """Return the processes that train a run, without those that decode images, each with its rank."""
    found = _alexplore_training(run)
    ranks = {process.pid: rank for process, rank in found}
    trains = []
    for process, rank in found:
        with suppress(psutil.Error):  # a process that decodes images is a copy of its parent
            if ranks.get(process.ppid(), -1) != rank:
                trains.append((process, rank))
    return trains


def _alexplore_training(run: RunDirectory) -> list[tuple[psutil.Process, int | None]]:
    """Return the processes of a run's worker and its descendants, each with its rank, None for no rank."""
    found = []
    for process in processes_of(run):
        with suppress(psutil.Error):
            command, rank = process.cmdline(), process.environ().get("RANK")
            if any("alexplore.training" in part for part in command):
                found.append((process, None if rank is None else int(rank)))
    return found


def _find(
    run: RunDirectory, watcher: subprocess.Popen[bytes], victim: str, rng: random.Random
) -> tuple[str, psutil.Process | None]:
    """Return a process to kill, and which victim it is."""
    if victim in ("follower", "app"):
        return victim, psutil.Process(watcher.pid) if watcher.poll() is None else None
    several = {"rank": ranks_of, "decoder": decoders_of}
    found = several[victim](run) if victim in several else []
    return (victim, rng.choice(found)) if found else ("worker", worker_of(run))


def _is_saving(run: RunDirectory) -> bool:
    return any(run.checkpoints_folder.glob(".*"))


def kill_at_random(run: RunDirectory, rng: random.Random, victims: tuple[str, ...] = VICTIMS) -> Kill | None:
    """Start a run, kill one of its processes at a moment that is drawn, and wait for the end of what is left.

    Returns None if the run had finished before.
    """
    victim, moment, number = rng.choice(victims), rng.choice(MOMENTS), rng.choice(SIGNALS)
    delay = rng.uniform(0, LONGEST[moment])
    before = read_status(run)
    app = App(run) if victim == "app" else None
    watcher = app.process if app else start_following(run)
    try:
        steps = steps_done(run)
        if moment in ("training", "saving"):
            wait_until(lambda: steps_done(run) > steps or _has_new_end(run, before), "a step", lambda: _tail(run))
        time.sleep(delay)
        if moment == "saving":
            deadline = time.monotonic() + 5
            while not _is_saving(run) and time.monotonic() < deadline:
                time.sleep(0.001)
        worker = worker_of(run)
        victim, process = _find(run, watcher, victim, rng)
        if process is None:
            wait_until(lambda: watcher.poll() is not None, "the end", lambda: _tail(run))
            return None
        status = read_status(run)
        heard = worker is not None and status.live and status.pid == worker.pid
        running = heard and status.state == "running"
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return None
        started = time.monotonic()
        what = f"{victim} {number.name} {moment}"
        reported = None
        if victim in ("worker", "rank"):
            wait_until(lambda: _is_gone(process), f"the end of {what}", lambda: _tail(run))
            reported = _reported_after(run, what, at_once=heard and victim == "worker")
        wait_until(lambda: _has_ended(run), what, lambda: _tail(run))
        seconds = time.monotonic() - started
        if app:
            wait_until(lambda: app.process.poll() is not None, f"the end of {what}", app.text)
            assert b"Traceback" not in app.printed, app.text()
        wait_until(lambda: not processes_of(run) and not is_locked(run), "no process left", lambda: _tail(run))
        left = time.monotonic() - started - seconds
        kill = Kill(victim, moment, number, read_status(run).state, reported, seconds, left)
        assert kill.state in _right_states(kill, before.state, heard, running), (kill, before, status, _tail(run))
        return kill
    finally:
        if app:
            app.close()
        elif watcher.poll() is None:
            watcher.kill()
        watcher.wait()


def _right_states(kill: Kill, before: str, heard: bool, running: bool) -> set[str]:
    """Return the states that a run may end in after a kill.

    `before` is its state before it was started, `heard` whether its worker had written a status when the signal was
    sent, and `running` whether all its processes were training. It may always have finished just before.
    """
    at_once, hangup = kill.number == signal.SIGKILL, kill.number == signal.SIGHUP
    match kill.victim:
        case "app":
            right = set[str]()
        case "follower":
            right = set() if at_once or hangup else {"stopped"}
        case "worker":
            right = {"crashed"} if at_once else {"stopped"}
        case "rank":
            right = {"failed"} if at_once else {"stopped"} if running else {"stopped", "failed"}
        case "decoder":
            right = {"failed"}
        case other:
            raise ValueError(other)
    return right | {"finished"} | (set() if heard else {before, "crashed"})


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _reported_after(run: RunDirectory, what: str, *, at_once: bool) -> float:
    """Return the seconds until a list of runs says that a run has ended, whose worker or a rank of it is gone.

    With `at_once` the first list must say so.
    """
    started = time.monotonic()
    runs = RunList()

    def reported() -> bool:
        (summary,) = runs.summarise([run])
        return summary.status.state in ENDED

    assert reported() or not at_once, (what, _tail(run))
    wait_until(reported, f"the report of {what}", lambda: _tail(run))
    return time.monotonic() - started


def _has_ended(run: RunDirectory) -> bool:
    """Return whether the state is an end, as it must become after a kill, and no worker is left.

    A run that was resumed is in its old state until its worker is heard.
    """
    return read_status(run).state in ENDED and worker_of(run) is None


def _has_new_end(run: RunDirectory, before: Status) -> bool:
    """Return whether a run has ended since its status was `before`, which of a resumed run is an end, too."""
    status = read_status(run)
    return status.state in ENDED and status != before


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
