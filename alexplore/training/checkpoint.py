"""Checkpoints: written whole or not at all, verified when read.

checkpoints/last/      model.safetensors   the weights by layer, in PyTorch's shapes
                       state.pt            everything else that training goes on from
                       manifest.json       sha256 of both, and where training was
checkpoints/previous/  the one before it
checkpoints/best/      the one with the best validation accuracy, by hard links
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.core.atomic_files import fsync_folder, read_json
from alexplore.network.shapes import shape_text
from alexplore.training.errors import CheckpointError

FORMAT = 1
WEIGHTS, STATE, MANIFEST = "model.safetensors", "state.pt", "manifest.json"
LAST, PREVIOUS, BEST = "last", "previous", "best"
SAVING, OLD = ".saving-", ".old-"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder held; everything on the CPU."""

    folder: Path
    weights: dict[str, Tensor]
    state: dict[str, Any]
    manifest: dict[str, Any]


class WholeState:
    """Weights and optimizer state of a rank that holds the whole network."""

    def collect(self, model: nn.Module, optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint needs of them; every rank must ask for it."""
        return model.state_dict(), optimizer.state_dict()

    def load_weights(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Take weights from a checkpoint.

        Raises:
            CheckpointError: they are another network's.
        """
        check_shapes(model.state_dict(), weights, "the checkpoint")
        model.load_state_dict(weights)

    def load_optimizer(self, model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Take an optimizer's state from a checkpoint."""
        load_slots(optimizer, state)


def check_shapes(own: dict[str, Tensor], weights: dict[str, Tensor], source: object) -> None:
    """Whether weights are a network's: the same names, and shapes.

    Raises:
        CheckpointError: they aren't; the message names the first that differs.
    """
    for name in (*own, *weights):
        if name not in weights or name not in own:
            which = "the network" if name not in own else "it"
            raise CheckpointError(f"{source}: is of another network: {name} is not in {which}")
        if weights[name].shape != own[name].shape:
            there, here = (shape_text(values[name].shape) or "one number" for values in (weights, own))
            raise CheckpointError(f"{source}: {name} is {there}, the network's is {here}")


def load_slots(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take an optimizer's state, each tensor laid out in memory as its parameter is.

    A fused optimizer goes through both side by side without a look at their strides. Rates and penalties are the
    optimizer's own: a resumed run may have been asked for others.
    """
    own = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        group.update(settings)
    for parameter, slots in optimizer.state.items():
        for key, value in slots.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                slots[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def save(folder: Path, weights: dict[str, Tensor], state: dict[str, Any], *, best: bool = False, **where: Any) -> None:
    """Write `last` in the checkpoints `folder`, after making the present `last` into `previous`.

    `where` goes into the manifest. With `best` the new checkpoint is the best one too.

    Raises:
        CheckpointError: the disk is full or gone; there is still a whole checkpoint if there was one before.
    """
    try:
        folder.mkdir(exist_ok=True)
        _clear(folder)
        new = Path(tempfile.mkdtemp(dir=folder, prefix=SAVING))
        try:
            _fill(new, weights, state, where)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        if (folder / LAST).is_dir():
            _replace(folder / LAST, folder / PREVIOUS)
        _replace(new, folder / LAST)
        if best:
            linked = Path(tempfile.mkdtemp(dir=folder, prefix=SAVING))
            for file in (WEIGHTS, STATE, MANIFEST):
                _link(folder / LAST / file, linked / file)
            fsync_folder(linked)
            _replace(linked, folder / BEST)
        fsync_folder(folder)
    except OSError as error:
        raise CheckpointError(f"{error.filename or folder}: {error.strerror or error}") from None


def load(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole: `last`, else `previous`, else `best`; None where there is none.

    Raises:
        CheckpointError: there are checkpoints, but all are damaged.
    """
    damaged = ""
    for name in (LAST, PREVIOUS, BEST):
        if not (folder / name).is_dir():
            continue
        try:
            return read(folder / name)
        except CheckpointError as error:
            damaged = str(error)
            warn(f"{damaged}; trying an older checkpoint")
    if damaged:
        raise CheckpointError(f"no checkpoint can be used: {damaged}; start a new run")
    return None


def read(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint folder.

    Raises:
        CheckpointError: a file is missing, damaged or from another version.
    """
    manifest = read_manifest(folder)
    weights, state = (_verified(folder / name, manifest) for name in (WEIGHTS, STATE))
    try:
        return Checkpoint(
            folder, load_safetensors(weights), torch.load(io.BytesIO(state), "cpu", weights_only=True), manifest
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{folder}: can't be read: {error}") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """What manifest.json says.

    Raises:
        CheckpointError: it is missing, damaged or from another version.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        raise CheckpointError(f"{folder / MANIFEST}: missing or damaged")
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{folder / MANIFEST}: format {manifest.get('format')!r}, this version reads {FORMAT}")
    return manifest


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a .safetensors file, a .pt or .pth file with a state_dict, or a checkpoint folder.

    Raises:
        CheckpointError: it can't be read, or holds no state_dict.
    """
    if path.is_dir():
        manifest = read_manifest(path)
        return load_safetensors(_verified(path / WEIGHTS, manifest))
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it would take to read something else
            values = torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise CheckpointError(f"{path}: holds other things than tensors; save the model's state_dict()") from None
    except MemoryError:
        raise
    except Exception as error:  # (a file of another kind fails anywhere)
        raise CheckpointError(f"{path}: can't be read as weights ({type(error).__name__})") from None
    if isinstance(values, dict) and isinstance(values.get("state_dict"), dict):  # as Lightning and timm keep it
        values = values["state_dict"]
    if not isinstance(values, dict) or not all(isinstance(value, Tensor) for value in values.values()):
        raise CheckpointError(f"{path}: holds no state_dict (a table of tensors by name)")
    return values


def _fill(folder: Path, weights: dict[str, Tensor], state: dict[str, Any], where: dict[str, Any]) -> None:
    packed = io.BytesIO()
    torch.save(state, packed)
    plain = {name: weight.contiguous() for name, weight in weights.items()}
    sums = {
        WEIGHTS: _write(folder / WEIGHTS, save_safetensors(plain, {"format": "pt"})),
        STATE: _write(folder / STATE, packed.getbuffer()),
    }
    manifest = {"format": FORMAT, "sha256": sums, "time": round(time.time(), 3), **where}
    _write(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    fsync_folder(folder)


def _write(path: Path, content: bytes | memoryview) -> str:
    """Write a file onto the disk; the sha256 of what it should hold."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def _verified(path: Path, manifest: dict[str, Any]) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    expected = manifest.get("sha256")
    if not isinstance(expected, dict) or hashlib.sha256(content).hexdigest() != expected.get(path.name):
        raise CheckpointError(f"{path}: damaged: its checksum is not the one in {MANIFEST}")
    return content


def _replace(source: Path, target: Path) -> None:
    """Rename a folder to where another one may be, which goes."""
    if target.is_dir():
        old = target.with_name(f"{OLD}{target.name}")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        source.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        source.rename(target)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _clear(folder: Path) -> None:
    """Tidy up after a worker that was killed while saving: between two renames, the old folder is put back."""
    for name in (LAST, PREVIOUS, BEST):
        if (folder / f"{OLD}{name}").is_dir() and not (folder / name).exists():
            (folder / f"{OLD}{name}").rename(folder / name)
    for pattern in (f"{SAVING}*", f"{OLD}*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
