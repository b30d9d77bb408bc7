"""Checkpoints: written atomically, and verified when they are read.

checkpoints/last/      model.safetensors   the weights by layer, in PyTorch's shapes
                       state.pt            the rest of the training's state
                       manifest.json       the SHA-256 of both, and the step and epoch
checkpoints/previous/  the checkpoint before `last`
checkpoints/best/      the checkpoint with the best value of the recipe's `monitor`, as hard links

state.pt has `progress` (see `progress`), `optimizer`, `guard` (the loss scale), `precision`, `means` (see
`compute_setup`), `new_layers` and, with averaged weights, what `averaging` keeps.

Tensors are written without a copy, and read by mapping the file into memory: neither needs memory for all weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from alexplore.core.atomic_files import fsync_folder
from alexplore.core.errors import AlexploreError
from alexplore.core.exchange import exchange
from alexplore.core.formatting import shortened
from alexplore.core.regular_files import open_regular, read_json
from alexplore.runs.checkpoint_names import BEST, LAST, MANIFEST, NAMES, OLD, PREVIOUS, SAVING, STATE, WEIGHTS
from alexplore.training.errors import CheckpointError, is_out_of_memory
from alexplore.training.weight_files import read_tensors

T = TypeVar("T")

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint folder; the tensors are on the CPU, mapped from its files."""

    folder: Path
    weights: dict[str, Tensor]
    state: dict[str, Any]
    manifest: dict[str, Any]


def save(folder: Path, weights: dict[str, Tensor], state: dict[str, Any], *, best: bool = False, **where: Any) -> None:
    """Write the checkpoint `last` in the folder of checkpoints; the one that was `last` becomes `previous`.

    `where`, the position in the training, is written to the manifest. With `best` the new checkpoint becomes `best`
    before it becomes `last`: if the worker is killed in between, the resumed training reaches it again.

    Raises:
        CheckpointError: the disk is full or can't be written; a complete earlier checkpoint is kept.
    """
    with _checkpoint_errors(folder):
        folder.mkdir(exist_ok=True)
        _clean_up(folder)
        with _temporary_folder(folder) as new:
            _write_checkpoint(new, weights, state, where)
            if best:
                _save_links(folder, new)
            _put_in_place(new, folder / LAST)
            if new.is_dir():
                _put_in_place(new, folder / PREVIOUS)
        fsync_folder(folder)


def _save_links(folder: Path, new: Path) -> None:
    """Make a new checkpoint also `best`, as hard links."""
    with _temporary_folder(folder) as linked:
        for file in (WEIGHTS, STATE, MANIFEST):
            _link(new / file, linked / file)
        fsync_folder(linked)
        _put_in_place(linked, folder / BEST)


def load(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest undamaged checkpoint in the folder of checkpoints, None if there are no checkpoints.

    Only the ranks of the run's worker may call this. `warn` is called with a message for each damaged one.

    Raises:
        CheckpointError: there are checkpoints, but all are damaged.
    """
    with suppress(OSError):  # another rank has done it, or the disk can only be read
        _rename_back(folder)
    return _first_undamaged(folder, (LAST, PREVIOUS, BEST), read, warn)


def load_best_weights(folder: Path, warn: Callable[[str], None]) -> tuple[Path, dict[str, Tensor]] | None:
    """Return the best checkpoint in the folder of checkpoints, or else the newest undamaged one, and its weights.

    Returns None if there are no checkpoints. `warn` is called with a message for each damaged one.

    Raises:
        CheckpointError: there are checkpoints, but all are damaged.
    """
    return _first_undamaged(folder, (BEST, LAST, PREVIOUS), _read_named_weights, warn)


def load_named_weights(path: Path, warn: Callable[[str], None]) -> tuple[Path, dict[str, Tensor]]:
    """Return a file or checkpoint folder and the weights in it; see `read_weights`.

    A damaged checkpoint of a run is replaced by another one of that run. `warn` is called with a message for each
    damaged one.

    Raises:
        CheckpointError: it can't be read, and the run has no undamaged checkpoint.
    """
    if path.name not in NAMES or not path.is_dir():
        return _read_named_weights(path)
    names = (path.name, *(name for name in (BEST, LAST, PREVIOUS) if name != path.name))
    return _first_undamaged(path.parent, names, _read_named_weights, warn) or _read_named_weights(path)


def _read_named_weights(path: Path) -> tuple[Path, dict[str, Tensor]]:
    return path, read_weights(path)


def _first_undamaged(
    folder: Path, names: Sequence[str], read: Callable[[Path], T], warn: Callable[[str], None]
) -> T | None:
    """Return what `read` returns for the first checkpoint that is not damaged."""
    damaged = ""
    for name in names:
        if not (folder / name).is_dir():
            continue
        if damaged:
            warn(f"{damaged}; trying the checkpoint {name}")
        try:
            return _read_unless_replaced(folder / name, read)
        except CheckpointError as error:
            damaged = str(error)
    if damaged:
        raise CheckpointError(f"no checkpoint can be used: {damaged}; start a new run")
    return None


READ_ATTEMPTS = 10
"""How often reading a checkpoint is tried while a worker replaces it."""


def _read_unless_replaced(folder: Path, read: Callable[[Path], T]) -> T:
    """Return what `read` returns for a checkpoint folder; read again if the folder was replaced in the meantime."""
    for _ in range(READ_ATTEMPTS - 1):
        before = _identity(folder)
        try:
            return read(folder)
        except CheckpointError:
            if _identity(folder) == before:
                raise
    return read(folder)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return the device and inode of a folder, None if it does not exist."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def read(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint folder.

    Raises:
        CheckpointError: a file is missing, damaged or of another version.
    """
    for part in (folder.parent, folder):
        if part.is_symlink():
            raise CheckpointError(f"{part}: is a link, which is not followed: a run's files must be in its directory")
    manifest = read_manifest(folder)
    for name in (WEIGHTS, STATE):
        _verify(folder / name, manifest)
    weights = read_weights(folder / WEIGHTS)
    try:
        state = torch.load(folder / STATE, "cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # a file in another format may raise any exception
        raise CheckpointError(f"{folder / STATE}: can't be read ({type(error).__name__})") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{folder / STATE}: contains no table")
    return Checkpoint(folder, weights, state, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the contents of manifest.json.

    Raises:
        CheckpointError: it is missing, damaged or of another version.
    """
    manifest = read_json(folder / MANIFEST, links=False)
    if manifest is None:
        raise CheckpointError(f"{folder / MANIFEST}: missing or damaged")
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{folder / MANIFEST}: format {manifest.get('format')!r}, this version reads {FORMAT}")
    return manifest


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a .safetensors file, a checkpoint folder, or a file saved by PyTorch.

    Raises:
        CheckpointError: it can't be read, is damaged, or contains no table of tensors; see `read_tensors`.
    """
    if path.is_dir():
        _verify(path / WEIGHTS, read_manifest(path))
        path = path / WEIGHTS
    return read_tensors(path)


def _write_checkpoint(folder: Path, weights: dict[str, Tensor], state: dict[str, Any], where: dict[str, Any]) -> None:
    _write_weights(folder / WEIGHTS, weights)
    _write_state(folder / STATE, state)
    digests = {name: _sync_and_digest(folder / name) for name in (WEIGHTS, STATE)}
    manifest = {"format": FORMAT, "sha256": digests, "time": round(time.time(), 3), **where}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    _sync_and_digest(folder / MANIFEST)
    fsync_folder(folder)


def _write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write weights. Those that are not contiguous, such as kernels in channels-last layout, are copied on the CPU."""
    save_file({name: weight.cpu().contiguous() for name, weight in weights.items()}, path, {"format": "pt"})


def _write_state(path: Path, state: dict[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(state, file)


def _sync_and_digest(path: Path) -> str:
    """Force a file onto the disk and return its SHA-256."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path: Path, manifest: dict[str, Any]) -> None:
    """Check a file against its checksum in the manifest.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        with open_regular(path, links=False) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    expected = manifest.get("sha256")
    if not isinstance(expected, dict) or found != expected.get(path.name):
        raise CheckpointError(f"{path}: damaged: its checksum is not the one in {MANIFEST}")


@contextmanager
def state_errors(saved: Checkpoint) -> Iterator[None]:
    """Convert errors in the use of a checkpoint's state, which may contain anything, to a CheckpointError.

    Raises:
        CheckpointError: an exception was raised inside that is no AlexploreError, and neither of lack of memory nor of
            the device.
    """
    try:
        yield
    except (AlexploreError, torch.AcceleratorError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"{saved.folder / STATE}: is damaged, or of another version ({shortened(reason, 200)}); start a new run"
        ) from None


@contextmanager
def _checkpoint_errors(folder: Path) -> Iterator[None]:
    """Convert the libraries' errors, such as for a full disk, to a CheckpointError with the system's message."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__  # PyTorch's own error hides the file's
        if cause is None:
            raise CheckpointError(f"{folder}: {error}") from None
        raise CheckpointError(f"{cause.filename or folder}: {cause.strerror or cause}") from None


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Create a folder inside another one; at the end, delete the folder that then has its name."""
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=SAVING))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(new: Path, target: Path) -> None:
    """Rename a folder to `target`; the folder that had this name then has the new one's.

    If the system can't exchange two names in one step, a kill may leave only the old folder, as `.old-NAME`.
    """
    if not target.is_dir():
        new.rename(target)
    elif not exchange(new, target):
        old = target.with_name(f"{OLD}{target.name}")
        target.rename(old)
        new.rename(target)
        old.rename(new)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _clean_up(folder: Path) -> None:
    """Remove the leftovers of a worker that was killed while saving, and rename folders back that it had renamed."""
    _rename_back(folder)
    for pattern in (f"{SAVING}*", f"{OLD}*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def _rename_back(folder: Path) -> None:
    """Rename the folders back that a worker had renamed when it was killed, on a system that can't exchange names."""
    for name in NAMES:
        if (folder / f"{OLD}{name}").is_dir() and not (folder / name).exists():
            (folder / f"{OLD}{name}").rename(folder / name)
