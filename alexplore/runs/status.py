"""How a run is going: what its worker last wrote, and whether that worker still lives.

A worker holds a lock on worker.lock for as long as it lives, so a run that says `running` and whose lock is free has
crashed. Nothing is concluded from process numbers or from silence.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from alexplore.core.atomic_files import read_json, write_atomically
from alexplore.runs.directory import RunDirectory, RunError

LIVE = ("starting", "running", "paused")
ENDED = ("stopped", "finished", "failed", "crashed")


@dataclass(frozen=True)
class Status:
    """What status.json says, or `crashed` where its writer is gone."""

    state: str
    pid: int | None = None
    host: str = ""
    step: int = 0
    epoch: float = 0.0
    updated: float = 0.0
    reason: str | None = None

    @property
    def live(self) -> bool:
        """Whether a worker is at it."""
        return self.state in LIVE

    @property
    def silence(self) -> float:
        """Seconds without a word of a worker that has work to do; 0 where nothing is to be heard."""
        if self.state not in ("starting", "running") or not self.updated:
            return 0.0
        return max(0.0, time.time() - self.updated)

    @property
    def resumable(self) -> bool:
        """Whether it ended before it was finished."""
        return self.state in ("stopped", "failed", "crashed")


def write_status(run: RunDirectory, status: Status) -> None:
    """Replace status.json."""
    write_atomically(run.status_file, json.dumps(asdict(status)) + "\n")


# A launcher waits this long at most for its worker to take the lock; until then a run without a status is starting.
STARTING_SECONDS = 30.0


def read_status(run: RunDirectory) -> Status:
    """What status.json says, checked against the lock."""
    written = _parse(read_json(run.status_file))
    if written is None:
        young = time.time() - _created(run) < STARTING_SECONDS
        if young or is_locked(run):
            return Status("starting")
        return Status("crashed", reason="the worker ended before it wrote a status")
    if written.live and not is_locked(run):
        # It may have ended properly between the two looks.
        latest = _parse(read_json(run.status_file)) or written
        if latest.live:
            where = f"epoch {latest.epoch:.2f}, step {latest.step}"
            return replace(latest, state="crashed", reason=f"the worker died without a word at {where}")
        return latest
    return written


def is_locked(run: RunDirectory) -> bool:
    """Whether a worker of this or another machine holds the run's lock.

    Not to be asked by the worker itself: closing the file would give up its lock.
    """
    try:
        descriptor = os.open(run.lock_file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def worker_lock(run: RunDirectory) -> Iterator[None]:
    """Hold the run's lock; it goes with the process, however that ends.

    Raises:
        RunError: another worker holds it.
    """
    descriptor = os.open(run.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, run)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, run: RunDirectory) -> None:
    for _ in range(50):  # a reader's look holds the lock for a moment
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RunError(f"{run.name} is already being trained by another worker")


def _created(run: RunDirectory) -> float:
    try:
        return run.config_file.stat().st_mtime
    except OSError:
        return 0.0


def _parse(values: dict[str, object] | None) -> Status | None:
    if values is None:
        return None
    match values:
        case {"state": str(state), "step": int(step), "epoch": int() | float() as epoch}:
            pid, host, updated, reason = (values.get(key) for key in ("pid", "host", "updated", "reason"))
            return Status(
                state,
                pid if isinstance(pid, int) else None,
                host if isinstance(host, str) else "",
                step,
                float(epoch),
                float(updated) if isinstance(updated, int | float) else 0.0,
                reason if isinstance(reason, str) else None,
            )
        case _:
            return None
