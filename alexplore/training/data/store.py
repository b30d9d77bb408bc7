"""The user's cache: decoded data sets, kept so that the next start takes no time, and work in progress apart."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import platformdirs
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexplore.core.atomic_files import fsync_folder

Arrays = dict[str, Tensor]
"""`train_images` and `val_images`, uint8 (N, C, H, W); `train_labels` and `val_labels`, int64 (N,)."""

WORK = ".work-"  # prefix of folders whose contents are not finished


def cache_folder(name: str) -> Path:
    """Where a data set is kept for this user."""
    return platformdirs.user_cache_path("alexplore") / name


def load(name: str, report: Callable[[str], None]) -> Arrays | None:
    """The arrays kept under a name, or None where there are none or they are damaged (which is reported)."""
    path = cache_folder(name) / "images.safetensors"
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            expected = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError) as error:
        report(f"{path} is damaged and will be made again: {error}")
        return None
    if _digest(arrays) != expected:
        report(f"{path} is damaged and will be made again: its checksum is wrong")
        return None
    return arrays


def save(name: str, arrays: Arrays) -> None:
    """Keep arrays under a name, while `locked`; a reader sees all of them or none.

    Raises:
        OSError: the cache can't be written; nothing half is left.
    """
    folder = cache_folder(name)
    with work_folder(folder) as work:
        made = work / "images.safetensors"
        save_file(arrays, made, metadata={"sha256": _digest(arrays)})
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(folder / made.name)
    fsync_folder(folder)


@contextmanager
def work_folder(inside: Path | None) -> Iterator[Path]:
    """A folder that is gone at the end, whatever happens: inside another, or where the system has temporary files."""
    with tempfile.TemporaryDirectory(prefix=WORK, dir=inside, ignore_cleanup_errors=True) as work:
        yield Path(work)


@contextmanager
def locked(name: str, report: Callable[[str], None]) -> Iterator[Path | None]:
    """Alone among all processes at preparing a data set; what killed ones left unfinished is removed.

    Gives the data set's cache folder, or None (and reports why) where it can't be written.
    """
    folder = cache_folder(name)
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((folder / "lock").open("w"))
        except OSError as error:
            report(f"{folder} can't be written ({error.strerror}), so {name} will not be kept for the next time")
            yield None
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"another process is preparing {name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        for abandoned in folder.glob(f"{WORK}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        yield folder


def _digest(arrays: Arrays) -> str:
    """The SHA-256 of names, shapes and values."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {tuple(arrays[key].shape)}".encode())
        digest.update(arrays[key].contiguous().numpy().data)
    return digest.hexdigest()
