"""Published data sets: their files are found, checked, cached and downloaded."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import pickle
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from alexplore.runs.config import DataSource
from alexplore.runs.data import checksummed_files, idx_files
from alexplore.runs.data.errors import DataError
from alexplore.training.data import cache, download
from alexplore.training.data.cifar import CIFAR_10
from alexplore.training.data.mnist import DEBIAN_FOLDER, MNIST_KIN, read, unpack
from alexplore.training.data.published import Download, PublishedDataset, load_arrays
from tests.training.data import small_fashion_mnist

FASHION_MNIST = MNIST_KIN["fashion-mnist"]
WriteFiles = Callable[..., Path]


@pytest.fixture(autouse=True)
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's cache, which is empty."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "alexplore"


@pytest.fixture
def write_small(monkeypatch: pytest.MonkeyPatch) -> WriteFiles:
    """Writes four small files that pass for Fashion-MNIST's in this test: 40 training and 20 test images."""
    contents = small_fashion_mnist.contents()
    small_fashion_mnist.accept(monkeypatch, contents)

    def write(folder: Path, *, packed: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        return folder

    return write


def bare(*downloads: Download, installed_in: tuple[str, ...] = ()) -> PublishedDataset:
    """Return Fashion-MNIST with other places and downloads."""
    return dataclasses.replace(FASHION_MNIST, installed_in=installed_in, downloads=downloads)


def ignore(_: str) -> None:
    pass


@pytest.mark.parametrize("layout", ["", "FashionMNIST/raw", "raw", "fashion-mnist"])
@pytest.mark.parametrize("packed", [True, False])
def test_files_are_read_from_the_named_folder(
    tmp_path: Path, write_small: WriteFiles, layout: str, packed: bool
) -> None:
    folder = write_small(tmp_path / "data" / layout, packed=packed)
    arrays = load_arrays(bare(), DataSource(folder=str(tmp_path / "data")), ignore)
    assert arrays["train_images"].shape == (40, 1, 28, 28)
    assert arrays["val_labels"].tolist() == [i % 10 for i in range(20)]
    if not packed:
        pixels = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes()[16:], dtype=np.uint8)
        assert np.array_equal(arrays["train_images"].numpy().reshape(-1), pixels)


def test_fashion_mnist_is_read_as_torchvision_reads_it(tmp_path: Path, write_small: WriteFiles) -> None:
    from torchvision.datasets import FashionMNIST  # type: ignore[import-untyped]

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    data = idx_files.IDX_DATASETS["fashion-mnist"]
    unpack(data, idx_files.find(data, write_small(tmp_path / "data")), raw)
    arrays = read(data, raw)
    for part, train in (("train", True), ("val", False)):
        theirs = FashionMNIST(tmp_path, train=train)
        assert torch.equal(arrays[f"{part}_images"][:, 0], theirs.data)
        assert torch.equal(arrays[f"{part}_labels"], theirs.targets)


def test_the_second_start_reads_only_the_cache(
    tmp_path: Path, write_small: WriteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = bare(installed_in=(str(write_small(tmp_path / "installed")),))
    first = load_arrays(known, DataSource(), ignore)
    for file in (tmp_path / "installed").iterdir():
        file.unlink()
    again = load_arrays(known, DataSource(), ignore)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert first.keys() == again.keys()


def test_a_damaged_cache_is_written_again(tmp_path: Path, write_small: WriteFiles, cached: Path) -> None:
    known = bare(installed_in=(str(write_small(tmp_path / "installed")),))
    first = load_arrays(known, DataSource(), ignore)
    kept = cached / "fashion-mnist" / "images.safetensors"
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    for damage in (bytes(content), content[: len(content) // 2], b""):
        kept.write_bytes(damage)
        messages: list[str] = []
        again = load_arrays(known, DataSource(), messages.append)
        assert torch.equal(first["val_labels"], again["val_labels"])
        assert f"{kept} is damaged" in messages[0]
        assert cache.load("fashion-mnist", pytest.fail) is not None


def test_files_in_the_cache_come_before_installed_ones(tmp_path: Path, write_small: WriteFiles, cached: Path) -> None:
    write_small(cached / "fashion-mnist")
    assert load_arrays(bare(installed_in=("/nowhere",)), DataSource(), ignore)["train_labels"].shape == (40,)


def damage(folder: Path, how: str) -> Path:
    images = folder / "train-images-idx3-ubyte.gz"
    labels = folder / "t10k-labels-idx1-ubyte"
    match how:
        case "cut":
            images.write_bytes(images.read_bytes()[:-100])
            return images
        case "not packed":
            images.write_bytes(b"<html>404</html>")
            return images
        case "short":
            labels.write_bytes(labels.read_bytes()[:-1])
            return labels
        case "changed":
            content = bytearray(labels.read_bytes())
            content[-1] ^= 1
            labels.write_bytes(content)
            return labels
        case _:
            images.unlink()
            return images


@pytest.mark.parametrize("how", ["cut", "not packed", "short", "changed", "missing"])
def test_a_damaged_file_is_named_in_the_error(tmp_path: Path, write_small: WriteFiles, how: str) -> None:
    folder = write_small(tmp_path / "data")
    write_small(folder, packed=False)
    if how in ("cut", "not packed", "missing"):
        (folder / "train-images-idx3-ubyte").unlink()
    path = damage(folder, how)
    with pytest.raises(DataError) as caught:
        load_arrays(bare(), DataSource(folder=str(folder)), ignore)
    assert path.name in str(caught.value)
    assert str(folder) in str(caught.value)
    with pytest.raises(DataError, match="Tried") as caught:
        load_arrays(bare(installed_in=(str(folder),)), DataSource(), ignore)
    assert path.name in str(caught.value)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        load_arrays(bare(), DataSource(folder=str(tmp_path / "absent")), ignore)


def test_the_error_lists_everything_that_was_tried(tmp_path: Path) -> None:
    def broken(folder: Path, report: Callable[[str], None]) -> Path:
        raise download.DownloadError("the network is down")

    (tmp_path / "data").mkdir()
    with pytest.raises(DataError) as caught:
        load_arrays(
            bare(Download("a mirror", broken), installed_in=("/nowhere",)),
            DataSource(folder=str(tmp_path / "data")),
            ignore,
        )
    message = str(caught.value)
    for part in (
        f"{tmp_path / 'data'}: not there",
        "/nowhere: not there",
        "a mirror: the network is down",
        "--data DIR",
        "--dataset synthetic",
    ):
        assert message.count(part) == 1
    with pytest.raises(DataError, match="downloads: switched off"):
        load_arrays(
            bare(Download("a mirror", lambda *_: pytest.fail("it was not allowed"))), DataSource(download=False), ignore
        )


def test_a_download_is_cached(tmp_path: Path, write_small: WriteFiles, cached: Path) -> None:
    def bring(folder: Path, report: Callable[[str], None]) -> Path:
        return write_small(folder)

    def broken(folder: Path, report: Callable[[str], None]) -> Path:
        folder.mkdir()
        (folder / "half").write_text("x")
        raise download.DownloadError("cut off")

    load_arrays(bare(Download("one", broken), Download("two", bring)), DataSource(), ignore)
    assert sorted(path.name for path in (cached / "fashion-mnist").iterdir()) == ["images.safetensors", "lock"]
    load_arrays(bare(), DataSource(download=False), ignore)


def test_a_cache_that_cannot_be_written_is_not_needed(
    tmp_path: Path, write_small: WriteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    messages: list[str] = []
    arrays = load_arrays(bare(installed_in=(str(write_small(tmp_path / "data")),)), DataSource(), messages.append)
    assert len(arrays["train_labels"]) == 40
    assert "can't be written" in messages[0]


def test_several_processes_download_only_once(write_small: WriteFiles) -> None:
    brought: list[Path] = []
    messages: list[str] = []
    others_wait = threading.Event()

    def report(line: str) -> None:
        messages.append(line)
        if sum("another process is preparing" in line for line in messages) == 2:
            others_wait.set()

    def bring(folder: Path, report: Callable[[str], None]) -> Path:
        brought.append(folder)
        assert others_wait.wait(60)
        return write_small(folder)

    def load() -> None:
        results.append(load_arrays(bare(Download("a mirror", bring)), DataSource(), report))

    results: list[cache.Arrays] = []
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(brought) == 1
    assert len(results) == 3


KILLED = """
import sys, time
from pathlib import Path
from alexplore.training.data import cache
with cache.locked("fashion-mnist", print) as folder, cache.work_folder(folder) as work:
    (work / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.usefixtures("heavy")
def test_a_killed_download_leaves_nothing_behind(tmp_path: Path, write_small: WriteFiles, cached: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert any(path.name.startswith(cache.WORK) for path in (cached / "fashion-mnist").iterdir())
    load_arrays(bare(installed_in=(str(write_small(tmp_path / "data")),)), DataSource(), ignore)
    assert sorted(path.name for path in (cached / "fashion-mnist").iterdir()) == ["images.safetensors", "lock"]


def test_the_installed_images_are_fashion_mnist() -> None:
    if not FASHION_MNIST.find(Path(DEBIAN_FOLDER)):
        pytest.skip(f"needs the real images: install Debian's package dataset-fashion-mnist (no {DEBIAN_FOLDER})")
    arrays = load_arrays(FASHION_MNIST, DataSource(download=False), ignore)
    assert arrays["train_images"].shape == (60_000, 1, 28, 28)
    assert arrays["train_labels"][:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert torch.bincount(arrays["val_labels"]).tolist() == [1000] * 10
    pixels = arrays["train_images"].double() / 255
    assert (round(pixels.mean().item(), 4), round(pixels.std().item(), 4)) == (0.2860, 0.3530)
    assert (FASHION_MNIST.images.mean, FASHION_MNIST.images.std) == ((0.2860,), (0.3530,))


def test_declared_classes_and_files_agree_with_torchvision() -> None:
    from torchvision.datasets import FashionMNIST

    assert FASHION_MNIST.images.classes == tuple(FashionMNIST.classes)
    assert [f"{name}.gz" for name in idx_files.IDX_DATASETS["fashion-mnist"].files] == [
        name for name, _ in FashionMNIST.resources
    ]


def accept_cifar10(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    """Let a file of CIFAR-10 have this content."""
    digests = checksummed_files.CIFAR_10.digests
    monkeypatch.setitem(digests, name, hashlib.md5(content).hexdigest())


def made_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's files with 4 images each, that pass for the real ones in this test."""
    from torchvision.datasets import CIFAR10 as Reader

    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    names = [name for name, _ in (*Reader.train_list, *Reader.test_list)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 3072), dtype=np.uint8)
        (batches / name).write_bytes(pickle.dumps({"data": pixels, "labels": [number, 1, 2, 3]}))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CIFAR_10.images.classes)}))

    def digest(name: str) -> str:
        return hashlib.md5((batches / name).read_bytes()).hexdigest()

    for name in (*names, "batches.meta"):
        accept_cifar10(monkeypatch, name, (batches / name).read_bytes())
    monkeypatch.setattr(Reader, "train_list", [[name, digest(name)] for name in names[:5]])
    monkeypatch.setattr(Reader, "test_list", [[names[5], digest(names[5])]])
    monkeypatch.setattr(Reader, "meta", {**Reader.meta, "md5": digest("batches.meta")})
    return folder


def test_cifar10_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_cifar10(tmp_path / "data", monkeypatch)
    arrays = load_arrays(CIFAR_10, DataSource(folder=str(folder), download=False), ignore)
    assert arrays["train_images"].shape == (20, 3, 32, 32)
    assert arrays["train_labels"][::4].tolist() == [0, 1, 2, 3, 4]
    batch = pickle.loads((folder / "cifar-10-batches-py" / "data_batch_1").read_bytes())
    assert np.array_equal(arrays["train_images"][:4].numpy().reshape(4, -1), batch["data"])
    assert arrays["val_labels"].tolist() == [5, 1, 2, 3]


def test_cifar10_is_read_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    made = made_cifar10(tmp_path / "made", monkeypatch)
    (tmp_path / "data").mkdir()
    archive = tmp_path / "data" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(made / "cifar-10-batches-py", "cifar-10-batches-py")
    accept_cifar10(monkeypatch, archive.name, archive.read_bytes())
    arrays = load_arrays(CIFAR_10, DataSource(folder=str(tmp_path / "data"), download=False), ignore)
    assert arrays["val_images"].shape == (4, 3, 32, 32)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is damaged"):
        load_arrays(CIFAR_10, DataSource(folder=str(tmp_path / "data"), download=False), ignore)


@pytest.mark.parametrize(("name", "word"), [("data_batch_3", "is damaged"), ("test_batch", "missing")])
def test_a_damaged_batch_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, word: str
) -> None:
    folder = made_cifar10(tmp_path / "data", monkeypatch)
    path = folder / "cifar-10-batches-py" / name
    if word == "is damaged":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.unlink()
    with pytest.raises(DataError, match=f"{name} {word}"):
        load_arrays(CIFAR_10, DataSource(folder=str(folder)), ignore)


def test_a_full_cache_is_not_needed(
    tmp_path: Path, write_small: WriteFiles, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for what is written while the files are read, nor for the copy, of which safetensors names no errno."""
    data = write_small(tmp_path / "data")
    unpack = FASHION_MNIST.unpack

    def full(files: dict[str, Path], work: Path) -> bool:
        if work.is_relative_to(cached):
            raise OSError(errno.ENOSPC, "No space left on device")
        return unpack(files, work)

    def no_room(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(cache, "save_file", no_room)
    messages: list[str] = []
    dataset = dataclasses.replace(bare(installed_in=(str(data),)), unpack=full)
    arrays = load_arrays(dataset, DataSource(), messages.append)
    assert len(arrays["train_labels"]) == 40
    assert sum("No space left on device" in message for message in messages) == 2
    assert [path.name for path in (cached / "fashion-mnist").iterdir()] == ["lock"]


def test_a_download_that_fills_the_cache_is_tried_elsewhere(
    tmp_path: Path, write_small: WriteFiles, cached: Path
) -> None:
    def bring(folder: Path, report: Callable[[str], None]) -> Path:
        if folder.is_relative_to(cached):
            raise download.DownloadError("curl: No space left on device")
        return write_small(folder)

    arrays = load_arrays(bare(Download("a mirror", bring)), DataSource(), ignore)
    assert len(arrays["train_labels"]) == 40
