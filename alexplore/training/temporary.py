"""The folder of a worker's temporary files. If a worker is killed, the next one removes its folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "alexplore-"
LOCK = "lock"

YOUNG_SECONDS = 60.0
"""A folder without a lock that is younger may be about to get one."""


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Put all temporary files of this process and its children into a folder, and remove it at the end.

    Folders of workers that were killed are removed first. If no folder can be made, the system's is used.
    """
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a full disk
        yield
        return
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        os.environ.pop("TMPDIR")
        if variable is not None:
            os.environ["TMPDIR"] = variable
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_abandoned(base: Path) -> None:
    """Remove this user's folders whose workers have ended."""
    with suppress(OSError):
        for folder in base.glob(f"{PREFIX}*"):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Return whether a folder is this user's and its worker has ended; False if it has just been removed."""
    try:
        status = folder.lstat()
        if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
            return False
        if not (folder / LOCK).exists():  # its worker has not locked it yet, or was killed before it could
            return abs(time.time() - status.st_mtime) > YOUNG_SECONDS and not any(folder.iterdir())
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
