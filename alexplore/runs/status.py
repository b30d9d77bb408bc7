"""The state of a run: what its worker wrote last, and whether the worker still runs.

A worker holds the lock worker.lock while it runs. A run whose status is `running` and whose lock is free has crashed.
Process ids and the time since the last update decide nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from alexplore.core.atomic_files import write_atomically
from alexplore.core.boundary import os_error_text
from alexplore.core.formatting import shortened
from alexplore.core.locks import is_held
from alexplore.core.regular_files import read_json_object
from alexplore.core.settings import LARGEST, found_text
from alexplore.runs.directory import RunDirectory, RunError, creation_time
from alexplore.runs.lines import read_number, read_time
from alexplore.runs.protocol import is_epoch, is_step

LIVE = ("starting", "running", "paused")
BUSY = ("starting", "running")
"""States in which the worker updates the status about once a second."""
ENDED = ("stopped", "finished", "failed", "crashed")
DAMAGED = "damaged"
"""The state that a reader shows for a run whose config.json or status.json can't be read."""

WAITING, REFUSED = "waiting", "refused"
"""States of runs in the queue that have no directory yet: waiting to start, and could not be started."""

LOCK_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Status:
    """The content of status.json; the state is `crashed` if its worker is gone, or `damaged` if it can't be read.

    `step` counts updates of the weights, `epoch` passes over the training images (a fraction); `updated` is in seconds
    since 1970. `reason` is why the run ended, or what it is waiting for while it starts.
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
        """Seconds since the last update by a busy worker; 0 if the run is paused or has ended."""
        if self.state not in BUSY or not self.updated:
            return 0.0
        return max(0.0, time.time() - self.updated)

    @property
    def resumable(self) -> bool:
        """Whether the run ended before it was finished."""
        return self.state in ("stopped", "failed", "crashed", DAMAGED)


def in_training_error(run: RunDirectory) -> RunError:
    """Return the error that something can't be done while a worker trains the run."""
    return RunError(f"{run.name} is being trained; stop it first with: {run.command('stop')}")


def write_status(run: RunDirectory, status: Status) -> None:
    """Replace status.json."""
    write_atomically(run.status_file, json.dumps(asdict(status)) + "\n")


STARTING_SECONDS = 30.0
"""The longest time until a new worker takes the lock; until then a run that never had a worker is `starting`."""

ENDING_SECONDS = 20.0
"""How long a new worker waits for one that has written its end but still holds the lock."""


def read_status(run: RunDirectory) -> Status:
    """Return what status.json holds, checked against the lock."""
    had_worker = os.path.lexists(run.lock_file)  # before the lock is tested: a worker creates the file locked
    try:
        written = _read(run)
        if not written.live or is_locked(run):
            return written
        latest = _read(run)  # it may have ended normally after status.json was read
    except (OSError, ValueError) as error:
        return _without_file(run, error, had_worker)
    if latest.live:
        where = f"epoch {latest.epoch:.2f}, step {latest.step}"
        return replace(latest, state="crashed", reason=f"the worker died at {where} without giving a reason")
    return latest


def _without_file(run: RunDirectory, error: OSError | ValueError, had_worker: bool) -> Status:
    """Return the status of a run whose status.json is missing or damaged."""
    if is_locked(run):
        return Status("starting")  # its worker is about to write it
    if not isinstance(error, FileNotFoundError):
        return Status(
            DAMAGED, reason=os_error_text(error) if isinstance(error, OSError) else f"{run.status_file}: {error}"
        )
    young = abs(time.time() - creation_time(run)) < STARTING_SECONDS  # `abs`, in case the clock was set back
    return Status("starting") if young and not had_worker else _crashed_early(run)


def _crashed_early(run: RunDirectory) -> Status:
    """Return the status of a run without a worker; status.json, which was missing, may exist by now."""
    with suppress(OSError, ValueError):
        return _read(run)
    if not run.path.is_dir():
        return Status("crashed", reason=f"{run.path} is gone: it was removed or renamed")
    return Status("crashed", reason="the worker ended before it wrote a status")


def is_locked(run: RunDirectory) -> bool:
    """Return whether a worker of this or another machine holds the run's lock. The worker must not call this."""
    return is_held(run.lock_file)


@contextmanager
def worker_lock(run: RunDirectory) -> Iterator[bool]:
    """Hold the run's lock, and yield whether an earlier worker has held it.

    The system releases the lock when the process ends, even if it is killed.

    Raises:
        RunError: another worker holds it.
    """
    descriptor = _create_locked(run.lock_file)
    had_worker = descriptor is None
    if descriptor is None:
        descriptor = os.open(run.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if had_worker:
            _lock(descriptor, run)
        yield had_worker
    finally:
        os.close(descriptor)


def _create_locked(path: Path) -> int | None:
    """Create the lock's file, already locked when other processes can see it, and return its descriptor.

    Returns None if the file exists, or on a file system without hard links.
    """
    if path.exists():
        return None
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.hardlink_to(temporary)
    except OSError:
        os.close(descriptor)
        return None
    finally:
        temporary.unlink(missing_ok=True)
    return descriptor


def _lock(descriptor: int, run: RunDirectory) -> None:
    """Take the lock. If a worker has written its end, wait for it: several ranks take a while to exit."""
    waited = 0.0
    while waited < 1 or (waited < ENDING_SECONDS and _has_ended(run)):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process may test the lock, which holds it for a moment
            time.sleep(LOCK_POLL_SECONDS)
            waited += LOCK_POLL_SECONDS
        else:
            return
    raise RunError(f"{run.name} is already being trained by another worker")


def _read(run: RunDirectory) -> Status:
    """Return what status.json holds.

    Raises:
        OSError, ValueError: it is missing or damaged.
    """
    values = read_json_object(run.status_file, links=False)
    state, step, epoch = values.get("state"), values.get("step"), read_number(values.get("epoch"))
    if not isinstance(state, str) or state not in (*LIVE, *ENDED):
        raise ValueError(f"state: found {found_text(state)}, allowed: {', '.join((*LIVE, *ENDED))}")
    if not is_step(step):
        raise ValueError(f"step: found {found_text(step)}, allowed: an integer from 0 to 2⁶³ − 1")
    if not is_epoch(epoch):
        raise ValueError(f"epoch: found {found_text(values.get('epoch'))}, allowed: a number from 0 to {LARGEST}")
    pid, host, reason = (values.get(key) for key in ("pid", "host", "reason"))
    return Status(
        state,
        pid if is_step(pid) else None,
        host if isinstance(host, str) else "",
        step,
        epoch,
        read_time(values.get("updated")) or 0.0,
        shortened(reason) if isinstance(reason, str) else None,
    )


def _has_ended(run: RunDirectory) -> bool:
    """Return whether status.json says that the last attempt has ended."""
    try:
        return _read(run).state in ENDED
    except (OSError, ValueError):
        return False
