"""One exit code for one kind of error, whatever the command: 2 for wrong use, 1 for what is damaged or fails."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from alexplore.core import processes
from alexplore.core.errors import FAILED, WRONG_USE
from alexplore.presets.library import user_folder
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run, list_runs
from alexplore.runs.status import Status, write_status
from tests.support.command_line import run_here

NOT_THERE = (
    "shapes nowhere",
    "shapes nowhere.toml",
    "shapes /",
    "presets --check /",
    "shapes paper --explain nowhere",
    "presets nowhere",
    "presets --check nowhere.toml",
    "diff paper nowhere",
    "export --preset nowhere --to json",
    "export --preset paper --to nowhere",
    "export --run nowhere --to onnx",
    "train --preset nowhere",
    "train --preset fmnist --data nowhere",
    "train --preset fmnist --dataset nowhere",
    "train --preset fmnist --weights nowhere",
    "train --preset fmnist --dataset imagefolder --data nowhere",
    "train --preset fmnist --freeze nowhere",
    "runs show nowhere",
    "runs watch nowhere",
    "runs stop nowhere",
    "runs pause nowhere",
    "runs checkpoint nowhere",
    "runs set nowhere lr=1",
    "runs evaluate nowhere",
    "runs resume nowhere",
    "runs compare nowhere nowhere",
    "runs inside nowhere",
    "runs export nowhere --to csv",
    "runs rename nowhere other",
    "runs remove nowhere --yes",
    "replay nowhere",
    "sweep --preset nowhere --set training.lr=1",
    "sweep show nowhere",
    "queue move nowhere 1",
    "queue remove nowhere",
    "evaluate nowhere",
    "evaluate lenet --weights nowhere",
    "evaluate lenet --weights nowhere --data nowhere",
    "predict nowhere image.png",
    "predict lenet image.png --weights nowhere",
    "profile nowhere",
    "lesson check nowhere",
)
"""Commands that name something that is not there."""

WRITTEN_WRONGLY = (
    "shapes wrong.toml",
    "presets --check wrong.toml",
    "diff paper wrong.toml",
    "export --preset wrong.toml --to json",
    "train --preset wrong.toml",
    "profile wrong.toml",
    "lesson check wrong.toml",
)
"""Commands that name a file which a person wrote, and wrote wrongly."""

NOT_ALLOWED = (
    "shapes paper --input 3x4",
    "shapes paper --optimizer fast",
    "train --preset fmnist --lr -1",
    "train --preset fmnist --epochs 0",
    "train --preset fmnist --set training.speed=1",
    "train --preset fmnist --classes 3",
    "train --preset fmnist --device tpu",
    "train --preset fmnist --dataset imagefolder",
    "train --preset fmnist --dataset imagefolder --data empty",
    "sweep --preset fmnist --set training.speed=1,2",
    "profile paper --batch 0",
)
"""Commands with a value that is not allowed, or that does not fit the others."""

TOO_LARGE = (
    "shapes paper --batch N",
    "shapes paper --input Nx3x3",
    "profile lenet --batch N",
    "train --preset lenet --batch-size N",
    "train --preset lenet --epochs N",
    "train --preset lenet --seed N",
    "train --preset lenet --lr N",
    "train --preset lenet --gpus N",
    "train --preset lenet --classes N",
    "train --preset lenet --limit-train N",
    "train --preset lenet --set training.warmup_epochs=1e308",
    "train --preset lenet --set training.warmup_epochs=N",
    "sweep --preset lenet --dataset synthetic --seeds N",
    "data pack empty --side N",
)
"""Commands with a number N that no machine can use."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder: an empty folder and a file that is no TOML are in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXPLORE_RUNS", str(tmp_path / "runs"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.toml").write_text("layers = [")
    return tmp_path


@pytest.mark.parametrize("command", [*NOT_THERE, *WRITTEN_WRONGLY, *NOT_ALLOWED])
def test_wrong_use_is_refused_by_every_command(here: Path, command: str) -> None:
    done = run_here(*command.split())
    assert done.returncode == WRONG_USE, done.stderr
    assert done.stderr and "Traceback" not in done.stderr
    assert list_runs(here / "runs") == []


@pytest.mark.parametrize("command", TOO_LARGE)
def test_numbers_of_a_hundred_digits_are_refused(here: Path, command: str) -> None:
    done = run_here(*command.replace("N", "9" * 100).split())
    assert done.returncode == WRONG_USE, done.stderr
    assert done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr) < 2000
    assert list_runs(here / "runs") == []


@pytest.mark.parametrize(
    "command", ["shapes mine.toml", "presets --check mine.toml", "presets mine", "lesson check mine.toml"]
)
def test_a_file_that_can_not_be_read_is_a_failure(here: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (here / "mine.toml").write_text("")
    user_folder().mkdir(parents=True)
    (user_folder() / "mine.toml").write_text("")
    monkeypatch.setattr("alexplore.core.toml_files.read_text", fail)
    done = run_here(*command.split())
    assert done.returncode == FAILED
    assert done.stderr.endswith("mine.toml: Input/output error\n")


Make = Callable[[Path], None]


def idx_files(folder: Path, *, images: int = 60_000) -> None:
    """Write four files with the names and sizes of MNIST's, but with other contents."""
    folder.mkdir()
    for part, count in (("train", images), ("t10k", 10_000)):
        header = struct.pack(">4I", 0x803, count, 28, 28)
        np.concatenate([np.frombuffer(header, np.uint8), np.zeros(count * 784, np.uint8)]).tofile(
            folder / f"{part}-images-idx3-ubyte"
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + bytes(count))


def damaged(folder: Path) -> None:
    idx_files(folder)
    with (folder / "train-images-idx3-ubyte").open("r+b") as file:
        file.truncate(1_000_000)


def exchanged(folder: Path) -> None:
    idx_files(folder, images=10_000)


def partial(folder: Path) -> None:
    idx_files(folder)
    (folder / "t10k-labels-idx1-ubyte").unlink()


def cifar(folder: Path) -> None:
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    for name in ("data_batch_1", "data_batch_2"):
        (folder / "cifar-10-batches-py" / name).write_bytes(b"x")


def cut_archive(folder: Path) -> None:
    cifar(folder)  # what was unpacked of it before it broke off
    (folder / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b\x08cut")


def svhn(folder: Path) -> None:
    folder.mkdir()
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (folder / name).write_bytes(b"MATLAB 5.0 MAT-file")


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (cifar, WRONG_USE, "contains only a part of the files of cifar10: data_batch_3, data_batch_4,"),
        (cut_archive, FAILED, "cifar-10-python.tar.gz is damaged or was changed: the MD5 of its 6 bytes is "),
        (svhn, FAILED, "train_32x32.mat is damaged or was changed: the MD5 of its 19 bytes is "),
    ],
)
def test_damaged_files_are_refused_before_there_is_a_run(here: Path, make: Make, code: int, words: str) -> None:
    make(here / "data")
    dataset = "svhn" if make is svhn else "cifar10"
    done = run_here("train", "--preset", "cifar10-relu", "--dataset", dataset, "--data", "data", "--detach")
    assert done.returncode == code
    assert words in done.stderr and len(done.stderr.splitlines()) == 1
    assert list_runs(here / "runs") == []


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (idx_files, WRONG_USE, "is not MNIST's: it has the same format (60,000 × 28 × 28 values)"),
        (partial, WRONG_USE, "contains only a part of MNIST: t10k-labels-idx1-ubyte.gz missing"),
        (exchanged, WRONG_USE, "has 10,000 × 28 × 28 values, and MNIST's has 60,000 × 28 × 28: it is another file"),
        (damaged, FAILED, "is damaged: 1,000,000 bytes when decompressed, expected 47,040,016"),
    ],
)
def test_files_of_another_data_set_are_refused_before_there_is_a_run(
    here: Path, make: Make, code: int, words: str
) -> None:
    make(here / "data")
    for queued in ([], ["--queue"], ["--detach"]):
        done = run_here("train", "--preset", "lenet", "--data", "data", *queued)
        assert done.returncode == code
        assert words in done.stderr and len(done.stderr.splitlines()) == 1
        assert list_runs(here / "runs") == []


def test_kernels_that_there_are_not_are_refused_before_there_is_a_run(here: Path) -> None:
    done = run_here("train", "--preset", "lenet", "--dataset", "synthetic", ALEXPLORE_KERNELS="fastest")
    assert done.returncode == WRONG_USE
    assert done.stderr.startswith("error: ALEXPLORE_KERNELS=fastest: allowed: plain, avx2,")
    assert list_runs(here / "runs") == []


@pytest.mark.parametrize(
    "command", ["evaluate fresh", "predict fresh image.png", "runs inside fresh --image image.png"]
)
def test_a_run_without_weights_is_refused_before_pytorch_is_started(
    here: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    create_run(config, here / "runs", "fresh")
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    done = run_here(*command.split())
    assert done.returncode == WRONG_USE
    assert done.stderr == "error: fresh has no weights yet: no checkpoint was saved\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("export --preset lenet --to pytorch --weights w.safetensors --output w.py", "w.safetensors would be replaced"),
        ("export --preset lenet --to keras --weights w.safetensors --output w.npz", "give the code another suffix"),
        ("runs inside fresh --json --output maps.png", "--json and --output exclude each other"),
        ("runs inside fresh --image x.png --json --output maps.png", "--json and --output exclude each other"),
        ("runs compare fresh", "fresh: name two runs or more"),
        ("sweep --preset lenet --set training.seed=1,2 --seeds 2", "exclude each other: both choose the seeds"),
        ("import net.py:Net --output paper.toml", "paper is the name of a shipped preset"),
        ("evaluate fresh --output nowhere/x.csv", "nowhere/x.csv: there is no folder"),
        ("evaluate fresh --output runs", "runs is a directory; give the name of a file in it"),
        ("data pack /", "name the folder of the packed images with --output"),
    ],
)
def test_what_would_lose_or_ignore_something_is_refused(
    here: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, command: str, words: str
) -> None:
    create_run(config, here / "runs", "fresh")
    (here / "w.safetensors").write_bytes(b"mine")
    monkeypatch.setattr("alexplore.runs.inside.load_epoch", lambda *_: None)
    monkeypatch.setattr(processes, "find_spec", lambda name: None)  # all of it comes before PyTorch
    done = run_here(*command.split())
    assert done.returncode == WRONG_USE, done.stderr
    assert words in done.stderr
    assert (here / "w.safetensors").read_bytes() == b"mine"


def test_torchrun_refuses_what_its_ranks_can_not_do(here: Path) -> None:
    for option in ("--queue", "--detach"):
        done = run_here("train", "--preset", "lenet", "--dataset", "synthetic", option, RANK="0", WORLD_SIZE="1")
        assert done.returncode == WRONG_USE
        assert f"{option} is not possible under torchrun" in done.stderr


def test_a_folder_named_by_a_dot_is_packed_beside_itself(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("alexplore.cli.data._run", lambda *arguments: asked.append(arguments))
    assert run_here("data", "pack", ".").returncode == 0
    assert asked == [("pack", ".", f"{here}-packed", "256")]


def test_a_run_that_is_named_twice_is_removed_once(here: Path, config: RunConfig) -> None:
    for name in ("a", "b"):
        write_status(create_run(config, here / "runs", name), Status("stopped", updated=1.0))
    done = run_here("runs", "remove", "a", "a", "b", "--yes")
    assert done.returncode == 0, done.stderr
    assert list_runs(here / "runs") == []
