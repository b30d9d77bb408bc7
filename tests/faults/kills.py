"""Runs whose processes are killed, and what must hold afterwards. The tests and the soak share it."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import psutil

from alexplore.runs.checkpoint_names import SAVING
from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import ENDED, is_locked, read_status
from alexplore.runs.summary import RunList
from alexplore.training.checkpoint import load
from tests.faults.kill_plan import ENDING, Start, Victim
from tests.faults.run_processes import App, decoders_of, processes_of, ranks_of, start_following, worker_of
from tests.support.processes import exit_code, start_worker
from tests.support.runs import metrics, steps_done
from tests.support.waiting import PATIENCE, wait_until

SLOW: dict[str, Any] = {"batch_size": 160, "limit_train": 800, "limit_val": 3000, "checkpoint_minutes": 1e-9}
"""Settings of a run of a small network, each of whose phases takes long enough to be seen in its files."""

LONG = 100_000
"""Steps of an epoch that does not end while a run is watched."""

LOOK_SECONDS = 0.1
"""The time from one look at whether a run has ended to the next."""

PRESSED_SECONDS = 10.0
"""The time from one press of a key in the app to the next."""

STARTING_SECONDS = 0.6
"""The longest time from the moment at which a process is there until it is killed while it starts."""


@dataclass(frozen=True)
class Kill:
    """One kill, and what came of it."""

    start: Start
    victim: Victim
    number: Signals

    state: str
    """The state of the run afterwards."""

    reported: float | None
    """Seconds from the victim's end until a list of runs said how the run ended; None if it does not end with it."""

    left: float
    """Seconds from the end of the run until no process and no lock was left."""


def _is_saving(run: RunDirectory) -> bool:
    return any(run.checkpoints_folder.glob(f"{SAVING}*"))


def is_in(run: RunDirectory, phase: str, steps_per_epoch: int) -> bool:
    """Return whether a run that has done a step is in a phase, as its files show it."""
    if phase == "saving":
        return _is_saving(run)
    found = metrics(run)
    step = max(step for _, step in found)
    evaluates = step % steps_per_epoch == 0 and ("val/loss", step) not in found
    return (phase == "evaluating") == evaluates and not _is_saving(run)


class Started:
    """A run that was started, or resumed, for its processes to be killed."""

    def __init__(self, run: RunDirectory, start: Start, rng: random.Random, stack: ExitStack) -> None:
        """Start it from a command line that follows it, or, if the plan says so, from the app that watches it."""
        self.run, self.start, self.rng = run, start, rng
        self.before, self.steps = read_status(run), steps_done(run)
        self.has_stepped = False
        self.looked = -LOOK_SECONDS
        self.watchers: dict[Victim, subprocess.Popen[bytes]] = {}
        self.app = App(run) if start.has("app") else None
        if self.app:
            stack.callback(self.app.close)
            self.app.wait_until_drawn()
            self.watchers["app"] = self.app.process
        self.pressed = -PRESSED_SECONDS
        if not start.by_app:
            self.watchers["follower"] = start_following(run)
            stack.callback(_end, self.watchers["follower"])

    def kills(self) -> Iterator[Kill]:
        """Kill its processes, as planned, and yield what came of each; end early if the run has finished."""
        for victim, number in self.start.kills:
            process = self._wait_for_phase(victim)
            if process is None:
                assert read_status(self.run).state == "finished", (self.start, self._report())
                return
            ends = number in ENDING[victim]
            kill = (self._end_run if ends else self._end_other)(victim, number, process)
            if kill.state == "finished":
                return  # just before the signal, or in spite of it: then it does so each time
            yield kill

    def _wait_for_phase(self, victim: Victim) -> psutil.Process | None:
        """Wait for the phase of the plan, and return the process to kill; None if the run has ended before."""
        config = self.run.config()
        steps_per_epoch = -(-config.data.limit_train // config.recipe.batch_size) if config.data.limit_train else LONG
        deadline = time.monotonic() + PATIENCE
        process: psutil.Process | None = None
        while not self._has_new_end_now():
            assert time.monotonic() < deadline, (self.start, self._report())
            if process is None or not process.is_running():
                time.sleep(0.02)
                self._resume_in_app()
                process = self._process(victim)
            elif self.start.phase == "starting":
                time.sleep(self.rng.uniform(0, STARTING_SECONDS))
                return process
            elif not self.has_stepped:
                time.sleep(0.05)
                self.has_stepped = steps_done(self.run) > self.steps
            elif is_in(self.run, self.start.phase, steps_per_epoch):
                return process
            else:
                time.sleep(0.002)  # a process that waits most of the time is woken soon, also on a busy machine
        return None

    def _has_new_end_now(self) -> bool:
        """Return whether the run has ended since it was started; False if that was looked at just now."""
        if time.monotonic() < self.looked + LOOK_SECONDS:
            return False
        self.looked = time.monotonic()
        return self._has_new_end()

    def _resume_in_app(self) -> None:
        """Press the key that resumes a run, and again if nothing comes of it: the app may not have read the run yet."""
        if self.app and self.start.by_app and time.monotonic() > self.pressed + PRESSED_SECONDS:
            if worker_of(self.run) is None:
                self.app.press("r")
            self.pressed = time.monotonic()

    def _process(self, victim: Victim) -> psutil.Process | None:
        """Return the process to kill, if there is one and the run has a worker."""
        worker = worker_of(self.run)
        if victim in self.watchers:
            watcher = self.watchers[victim]
            return psutil.Process(watcher.pid) if worker and watcher.poll() is None else None
        if victim == "worker":
            return worker
        found = ranks_of(self.run) if victim == "rank" else decoders_of(self.run)
        return self.rng.choice(found) if len(found) >= self.start.ranks else None

    def _end_run(self, victim: Victim, number: Signals, process: psutil.Process) -> Kill:
        """Kill a process with which the run ends, and wait until nothing is left of it."""
        run, worker, status = self.run, worker_of(self.run), read_status(self.run)
        heard = worker is not None and status.live and status.pid == worker.pid
        what = f"the end of {victim} by {number.name}"
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        reported = None
        if victim in ("worker", "rank"):
            wait_until(lambda: _is_gone(process), what, self._report)
            reported = _reported_after(run, what, at_once=heard and victim == "worker")
        wait_until(lambda: read_status(run).state in ENDED and worker_of(run) is None, what, self._report)
        ended = time.monotonic()
        wait_until(lambda: not processes_of(run) and not is_locked(run), "no process left", self._report)
        kill = Kill(self.start, victim, number, read_status(run).state, reported, time.monotonic() - ended)
        right = _right_states(kill, self.before.state, heard=heard, running=heard and status.state == "running")
        assert kill.state in right, (kill, self.before, status, self._report())
        return kill

    def _end_other(self, victim: Victim, number: Signals, process: psutil.Process) -> Kill:
        """Kill a process without which the run goes on: a later kill finds it running, or finished."""
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        started = time.monotonic()
        if watcher := self.watchers.get(victim):
            wait_until(lambda: watcher.poll() is not None, f"the end of {victim} by {number.name}", self._report)
        if self.app:
            assert b"Traceback" not in self.app.printed, self.app.text()
        state = read_status(self.run).state
        return Kill(self.start, victim, number, state, None, time.monotonic() - started)

    def _has_new_end(self) -> bool:
        """Return whether the run has ended since it was started: one that is resumed has ended before, too."""
        status = read_status(self.run)
        return status.state in ENDED and status != self.before

    def _report(self) -> str:
        return _tail(self.run)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _right_states(kill: Kill, before: str, *, heard: bool, running: bool) -> set[str]:
    """Return the states that a run may end in after a kill.

    `before` is its state before it was started, `heard` whether its worker had written a status when the signal was
    sent, and `running` whether all its processes were training. It may have finished just before.
    """
    at_once = kill.number == Signals.SIGKILL
    right: dict[Victim, set[str]] = {
        "app": set(),
        "follower": {"stopped"},
        "worker": {"crashed"} if at_once else {"stopped"},
        "rank": {"failed"} if at_once else {"stopped"} if running else {"stopped", "failed"},
        "decoder": {"failed"},
    }
    return right[kill.victim] | {"finished"} | (set() if heard else {before, "crashed"})


def _is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended with all its threads: as long as one is left, it has its locks."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE and len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1
    except (psutil.NoSuchProcess, FileNotFoundError):
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
        assert exit_code(start_worker(run), run) == 0, _tail(run)
    assert read_status(run).state == "finished"
    wait_until(lambda: not processes_of(run) and not is_locked(run), "no process left", lambda: _tail(run))
