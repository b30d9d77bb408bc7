"""The state of a run: what its worker wrote last, and whether the worker still lives.

A worker holds a lock on worker.lock as long as it lives. A run whose status says `running` and whose lock is free has
crashed. Nothing is concluded from process numbers or from the time since the last update.
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
from alexplore.runs.directory import RunDirectory, RunError, creation_time

LIVE = ("starting", "running", "paused")
ENDED = ("stopped", "finished", "failed", "crashed")


@dataclass(frozen=True)
class Status:
    """What status.json holds, or `crashed` if its writer is gone.

    `step` counts updates of the weights, `epoch` passes over the training images (a fraction); `updated` is in seconds
    since 1970. `reason` is why the run ended, or while it starts what it waits for.
    """

    state: str
    pid: int | None = None
    host: str = ""
    step: int = 0
    epoch: float = 0.0
    updated: float = 0.0
    reason: str | None = None

    @property
    def live(self) -> bool:
        """Whether a worker trains the run, or is about to."""
        return self.state in LIVE

    @property
    def heartbeat_age(self) -> float:
        """Seconds since the last update by a worker that is busy; 0 if none is, as in a pause."""
        if self.state not in ("starting", "running") or not self.updated:
            return 0.0
        return max(0.0, time.time() - self.updated)

    @property
    def resumable(self) -> bool:
        """Whether the run ended before it was finished."""
        return self.state in ("stopped", "failed", "crashed")


def write_status(run: RunDirectory, status: Status) -> None:
    """Replace status.json."""
    write_atomically(run.status_file, json.dumps(asdict(status)) + "\n")


STARTING_SECONDS = 30.0
"""The longest time in which a new worker takes the lock; until then a new run without a status is starting."""


def read_status(run: RunDirectory) -> Status:
    """Return what status.json holds, checked against the lock."""
    written = _parse(read_json(run.status_file))
    if written is None:
        young = time.time() - creation_time(run) < STARTING_SECONDS
        if young or is_locked(run):
            return Status("starting")
        return Status("crashed", reason="the worker ended before it wrote a status")
    if written.live and not is_locked(run):
        # It may have ended in order after status.json was read.
        latest = _parse(read_json(run.status_file)) or written
        if latest.live:
            where = f"epoch {latest.epoch:.2f}, step {latest.step}"
            return replace(latest, state="crashed", reason=f"the worker died at {where} without giving a reason")
        return latest
    return written


def is_locked(run: RunDirectory) -> bool:
    """Return whether a worker of this or another machine holds the run's lock.

    The worker itself must not call this: closing the file would give up its lock.
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
    """Hold the run's lock; the system frees it when the process ends, in whatever way.

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
    for _ in range(50):  # `is_locked` in another process holds the lock for a moment
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RunError(f"{run.name} is already being trained by another worker")


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
