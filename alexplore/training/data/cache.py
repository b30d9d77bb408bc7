"""The user's cache of data sets: decoded images and labels, which load quickly, and folders for unfinished work."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexplore.core.atomic_files import fsync_folder
from alexplore.core.home import NoHomeError
from alexplore.core.regular_files import FileKindError, check_regular
from alexplore.runs.data.dataset_shapes import IMAGES, cache_folder

Arrays = dict[str, Tensor]
"""`train_images` and `val_images`, uint8 (N, C, H, W); `train_labels` and `val_labels`, int64 (N,)."""

T = TypeVar("T")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of a folder that can't be written, or is full."""

WORK = ".work-"  # prefix of folders with unfinished contents


def load(name: str, report: Callable[[str], None]) -> Arrays | None:
    """Return a data set's arrays, or None if they are not cached or damaged; damage is reported."""
    try:
        path = cache_folder(name) / IMAGES
        check_regular(path)
    except FileKindError as error:
        report(f"{path} {error.strerror}")
        return None
    except (OSError, NoHomeError):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            expected = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError) as error:
        report(f"{path} is damaged and will be written again: {error}")
        return None
    if _digest(arrays) != expected:
        report(f"{path} is damaged and will be written again: its checksum is wrong")
        return None
    return arrays


def save(name: str, arrays: Arrays) -> None:
    """Write a data set's arrays, inside `locked`; readers see all of them or none.

    Raises:
        OSError: the cache can't be written; nothing is left of the attempt.
    """
    folder = cache_folder(name)
    with work_folder(folder) as work:
        new = work / IMAGES
        try:
            save_file(arrays, new, metadata={"sha256": _digest(arrays)})
        except SafetensorError as error:  # it names no errno
            raise OSError(errno.EIO, str(error), str(new)) from None
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(folder / new.name)
    fsync_folder(folder)


@contextmanager
def work_folder(inside: Path | None) -> Iterator[Path]:
    """Create a folder that is removed at the end: inside another one, or for None in the system's temporary folder."""
    with tempfile.TemporaryDirectory(prefix=WORK, dir=inside, ignore_cleanup_errors=True) as work:
        yield Path(work)


def work_with_room(action: Callable[[Path], T], writable: Path | None, report: Callable[[str], None]) -> T:
    """Do something in a work folder: inside the cache, or in the system's temporary folder if the cache is full.

    Raises:
        OSError: neither can be written.
    """
    if writable is not None:
        try:
            with work_folder(writable) as work:
                return action(work)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            report(f"{writable} can't be written ({error.strerror}); using {tempfile.gettempdir()} instead")
    with work_folder(None) as work:
        return action(work)


@contextmanager
def locked(name: str, report: Callable[[str], None]) -> Iterator[Path | None]:
    """Lock a data set: wait until no other process prepares it, and remove the leftovers of killed processes.

    On a file system without locks neither is done. Yields the data set's cache folder, or None if it can't be written,
    which is reported with the reason.
    """
    try:
        folder = cache_folder(name)
    except NoHomeError as error:
        report(f"{name} will not be cached: {error}")
        yield None
        return
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((folder / "lock").open("w"))
        except OSError as error:
            report(f"{folder} can't be written ({error.strerror}), so {name} will not be cached")
            yield None
            return
        locked_now = lock(file)
        if locked_now is None:  # what is there may be another process's work
            yield folder
            return
        if not locked_now:
            report(f"another process is preparing {name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        for abandoned in folder.glob(f"{WORK}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        yield folder


def lock(file: IO[str]) -> bool | None:
    """Lock an open file without waiting; False if another process has locked it, None on a file system without locks.

    The lock ends when the file is closed.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _digest(arrays: Arrays) -> str:
    """Return the SHA-256 of names, shapes and values."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {tuple(arrays[key].shape)}".encode())
        digest.update(arrays[key].contiguous().numpy().data)
    return digest.hexdigest()
