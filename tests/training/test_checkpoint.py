"""Checkpoints are whole or absent, whenever the process is killed."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from alexplore.core.exchange import exchange
from alexplore.training import checkpoint
from alexplore.training.errors import CheckpointError

T = TypeVar("T")


def weights(value: float) -> dict[str, Tensor]:
    maps = torch.full((2, 3, 3, 3), value).contiguous(memory_format=torch.channels_last)
    return {"conv1.weight": maps, "conv1.bias": torch.tensor([value, -value])}


def state(value: float) -> dict[str, object]:
    return {"progress": {"step": int(value), "best": None}, "optimizer": {"state": {0: {"m": torch.tensor([value])}}}}


@contextmanager
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def no_warning(message: str) -> None:
    pytest.fail(message)


def test_a_saved_checkpoint_is_read_back_and_opens_in_other_programs(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, weights(1), state(1), step=1, epoch=0)
    read = checkpoint.load(tmp_path, no_warning)
    assert read is not None
    assert all(torch.equal(read.weights[name], weight) for name, weight in weights(1).items())
    assert read.state["progress"] == {"step": 1, "best": None}
    assert read.manifest["step"] == 1
    assert sorted(path.name for path in (tmp_path / "last").iterdir()) == [
        "manifest.json", "model.safetensors", "state.pt",
    ]  # fmt: skip
    assert torch.equal(load_file(tmp_path / "last" / "model.safetensors")["conv1.weight"], weights(1)["conv1.weight"])
    torch.load(tmp_path / "last" / "state.pt", weights_only=True)


def test_last_becomes_previous_and_best_stays(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, weights(step), state(step), best=step == 1, step=step)
    steps = {path.name: checkpoint.read(path).manifest["step"] for path in tmp_path.iterdir()}
    assert steps == {"last": 3, "previous": 2, "best": 1}


def test_without_a_checkpoint_nothing_is_loaded(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, no_warning) is None


@pytest.mark.parametrize("damage", ["cut", "bit", "gone", "manifest", "format"])
def test_damage_is_detected_and_reported(tmp_path: Path, damage: str) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, weights(step), state(step), step=step)
    last = tmp_path / "last"
    match damage:
        case "cut":
            (last / "state.pt").write_bytes((last / "state.pt").read_bytes()[:-10])
        case "bit":
            content = bytearray((last / "model.safetensors").read_bytes())
            content[-1] ^= 1
            (last / "model.safetensors").write_bytes(content)
        case "gone":
            (last / "model.safetensors").unlink()
        case "manifest":
            (last / "manifest.json").write_text('{"format": 1, "sha')
        case "format":
            manifest = json.loads((last / "manifest.json").read_text())
            (last / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    messages: list[str] = []
    read = checkpoint.load(tmp_path, messages.append)
    assert read is not None
    assert read.manifest["step"] == 1
    assert len(messages) == 1
    assert str(last) in messages[0]
    shutil.rmtree(tmp_path / "previous")
    with pytest.raises(CheckpointError, match="no checkpoint can be used"):
        checkpoint.load(tmp_path, messages.append)


class Died(BaseException):
    pass


class Killed:
    """A process that is killed before its rename or exchange of so many, and does nothing any more."""

    def __init__(
        self, after: int, monkeypatch: pytest.MonkeyPatch, exchange: Callable[[Path, Path], bool] = exchange
    ) -> None:
        self.left = after
        rename, rmtree = Path.rename, shutil.rmtree
        monkeypatch.setattr(Path, "rename", lambda a, b: self._counted(rename, a, b))
        monkeypatch.setattr(checkpoint, "exchange", lambda a, b: self._counted(exchange, a, b))
        monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: None if self.left < 0 else rmtree(*a, **k))

    def _counted(self, call: Callable[[Path, Path], T], a: Path, b: Path) -> T:
        self.left -= 1
        if self.left < 0:
            raise Died
        return call(a, b)


def cannot_exchange(a: Path, b: Path) -> bool:
    """Stand for a file system that can't."""
    return False


EXCHANGES, RENAMES = 3, 12
"""Calls that save a checkpoint as the best: one exchange each of `best`, `last` and `previous`, or one that fails and
three renames."""


@pytest.mark.parametrize("after", range(EXCHANGES + 1))
def test_a_kill_at_any_exchange_leaves_all_checkpoints_whole(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, weights(step), state(step), best=True, step=step)
    if not exchange(tmp_path / "last", tmp_path / "last"):
        pytest.skip("the file system can't exchange names")
    with monkeypatch.context() as patch:
        Killed(after, patch)
        with suppress(Died) if after < EXCHANGES else nullcontext():
            checkpoint.save(tmp_path, weights(3), state(3), best=True, step=3)
    steps = {name: checkpoint.read(tmp_path / name).manifest["step"] for name in ("best", "last", "previous")}
    assert tuple(steps.values()) == [(2, 2, 1), (3, 2, 1), (3, 3, 1), (3, 3, 2)][after]
    check_next_save(tmp_path)


@pytest.mark.parametrize("after", range(RENAMES + 1))
def test_a_kill_at_any_rename_leaves_a_whole_checkpoint(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, weights(step), state(step), best=True, step=step)
    with monkeypatch.context() as patch:
        Killed(after, patch, cannot_exchange)
        with suppress(Died) if after < RENAMES else nullcontext():
            checkpoint.save(tmp_path, weights(3), state(3), best=True, step=3)
    read = checkpoint.load(tmp_path, no_warning)
    assert read is not None
    assert read.manifest["step"] == (2 if after < 7 else 3)
    assert all(torch.equal(read.weights[name], w) for name, w in weights(read.manifest["step"]).items())
    check_next_save(tmp_path)


def check_next_save(folder: Path) -> None:
    """Check that the next checkpoint is saved, and leaves no other folder."""
    checkpoint.save(folder, weights(4), state(4), best=True, step=4)
    steps = {path.name: checkpoint.read(path).manifest["step"] for path in folder.iterdir()}
    assert steps.keys() == {"best", "last", "previous"}
    assert steps["last"] == steps["best"] == 4
    assert steps["previous"] in (2, 3)


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, weights(1), state(1), best=True, step=1)
    plain = checkpoint.read_manifest
    saved: list[int] = []

    def read_manifest(folder: Path) -> dict[str, Any]:
        manifest = plain(folder)
        if not saved:
            saved.append(2)
            checkpoint.save(tmp_path, weights(2), state(2), best=True, step=2)
        return manifest

    monkeypatch.setattr(checkpoint, "read_manifest", read_manifest)
    found = checkpoint.load_best_weights(tmp_path, no_warning)
    assert found is not None and torch.equal(found[1]["conv1.bias"], weights(2)["conv1.bias"])


@pytest.mark.parametrize("name", ["best", "last", "previous"])
def test_named_weights_of_a_damaged_checkpoint_are_those_of_another(tmp_path: Path, name: str) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, weights(step), state(step), best=step == 2, step=step)
    damaged = tmp_path / name / "model.safetensors"
    damaged.unlink()  # not the copy of it under another name, which is the same file
    damaged.write_bytes(b"")
    messages: list[str] = []
    found, tensors = checkpoint.load_named_weights(tmp_path / name, messages.append)
    assert found == tmp_path / ("last" if name == "best" else "best")
    assert torch.equal(tensors["conv1.bias"], weights(2)["conv1.bias"])
    assert [message.startswith(str(damaged)) for message in messages] == [True]
    for path in (tmp_path / "elsewhere", tmp_path / "nothing.pt"):
        with pytest.raises(CheckpointError, match=str(path)):
            checkpoint.load_named_weights(path, no_warning)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to write more to a file, as it does when the disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("large", ["weights", "state"])
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, large: str) -> None:
    checkpoint.save(tmp_path, weights(1), state(1), step=1)
    many = {"large": torch.zeros(200_000)}
    new_weights = many if large == "weights" else weights(2)
    new_state = {"optimizer": many} if large == "state" else state(2)
    with files_of_at_most(100_000), pytest.raises(CheckpointError, match="File too large"):
        checkpoint.save(tmp_path, new_weights, new_state, step=2)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert checkpoint.read(tmp_path / "last").manifest["step"] == 1
    checkpoint.save(tmp_path, new_weights, new_state, step=3)
    assert checkpoint.read(tmp_path / "last").manifest["step"] == 3


MEMORY = """
import re, sys
from pathlib import Path
import torch
from alexplore.core.exchange import exchange
from alexplore.training import checkpoint

MIB = 2**20

def memory(kind):
    return int(re.search(rf"{kind}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

def anonymous():
    # Memory that is not mapped from a file.
    return memory("RssAnon")

def peak():
    # That of `resource` includes the peak of the process that started this one.
    return memory("VmHWM")

folder = Path(sys.argv[1])
small = {"a": torch.ones(3)}
checkpoint.save(folder, small, {"optimizer": small}, step=0)  # imports what saving and reading need
checkpoint.read(folder / "last")
weights, state = {"a": torch.ones(200 * MIB // 4)}, {"optimizer": {"m": torch.ones(200 * MIB // 4)}}
before = peak()
checkpoint.save(folder, weights, state, step=1)
print("saving took", peak() - before)
before = anonymous()
read = checkpoint.read(folder / "last")
print("reading took", anonymous() - before)
assert torch.equal(read.weights["a"], weights["a"]) and torch.equal(read.state["optimizer"]["m"], weights["a"])
"""


@pytest.mark.usefixtures("heavy")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to measure memory")
def test_saving_and_reading_take_no_second_copy_of_the_tensors(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    taken = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(taken) == 2
    assert max(taken) < 50, done.stdout  # MiB, with 200 MiB of weights and as many of optimizer state


@pytest.mark.parametrize("name", ["last", "previous", "best"])
def test_a_kill_between_two_renames_loses_no_folder(name: str, tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, weights(step), state(step), best=step == 1, step=step, epoch=0)
    before = (tmp_path / name / "manifest.json").read_text()
    (tmp_path / name).rename(tmp_path / f".old-{name}")
    checkpoint.save(tmp_path, weights(3), state(3), step=3, epoch=0)
    after = {"last": "previous", "previous": None, "best": "best"}[name]  # what it has become meanwhile
    assert after is None or (tmp_path / after / "manifest.json").read_text() == before
    assert not list(tmp_path.glob(".*"))


def test_best_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    checkpoint.save(tmp_path, weights(1), state(1), best=True, step=1)
    assert checkpoint.read(tmp_path / "best").manifest["step"] == 1


def test_weights_are_read_from_files_of_every_kind(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, weights(1), state(1), step=1)
    torch.save(weights(2), tmp_path / "two.pth")
    torch.save({"epoch": 3}, tmp_path / "three.pt")
    torch.save({"epoch": 3, "state_dict": weights(4)}, tmp_path / "lightning.ckpt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "four.safetensors").write_bytes(b"nonsense")
    for path, value in (("last", 1), ("last/model.safetensors", 1), ("two.pth", 2), ("lightning.ckpt", 4)):
        assert torch.equal(checkpoint.read_weights(tmp_path / path)["conv1.bias"], weights(value)["conv1.bias"])
    for path, messages in (
        ("three.pt", "contains no state_dict"),
        ("four.safetensors", "can't be read"),
        ("no.pt", "No such"),
        ("model.pt", r"contains other things than tensors; save the model's state_dict\(\)$"),
        ("empty.pt", "can't be read"),
        ("text.pt", "(can't be read|other things)"),
    ):
        with warnings_are_errors(), pytest.raises(CheckpointError, match=messages):
            checkpoint.read_weights(tmp_path / path)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), torch.AcceleratorError("lost")])
def test_a_gpu_without_memory_is_no_damage_of_a_checkpoint(tmp_path: Path, error: Exception) -> None:
    checkpoint.save(tmp_path, weights(1), state(1), step=1)
    saved = checkpoint.read(tmp_path / "last")
    with pytest.raises(type(error)), checkpoint.state_errors(saved):
        raise error
    with pytest.raises(CheckpointError, match="is damaged"), checkpoint.state_errors(saved):
        raise KeyError("optimizer")
