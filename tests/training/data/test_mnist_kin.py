"""MNIST's kin, CIFAR-100 and SVHN, from small files in their formats."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexplore.presets.datasets import DATASETS
from alexplore.runs.config import DataSource
from alexplore.runs.data import checksummed_files, idx_files
from alexplore.runs.data.dataset_files import DATASET_FILES
from alexplore.runs.data.errors import DataError
from alexplore.training.data import svhn
from alexplore.training.data.catalog import PUBLISHED
from alexplore.training.data.mnist import MNIST_KIN as KIN
from alexplore.training.data.published import load_arrays
from tests.training.data import small_fashion_mnist

TRAIN, TEST = small_fashion_mnist.TRAIN, small_fashion_mnist.TEST


def ignore(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the data sets have 40 training and 20 test images, and a cache of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (*KIN, "svhn"):
        small_fashion_mnist.shrink(monkeypatch, name)


def write(folder: Path, names: tuple[str, ...], first_label: int = 0, *, packed: bool = True) -> dict[str, bytes]:
    """Write small files under the names of a data set, and return their contents."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = dict(zip(names, small_fashion_mnist.contents().values(), strict=True))
    for name, content in contents.items():
        if "labels" in name:
            contents[name] = content[:8] + bytes(label + first_label for label in content[8:])
        data = gzip.compress(contents[name], mtime=0) if packed else contents[name]
        (folder / (f"{name}.gz" if packed else name)).write_bytes(data)
    return contents


def files_of(name: str) -> tuple[str, ...]:
    return idx_files.IDX_DATASETS[name].files


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", KIN)
def test_the_four_files_are_read(name: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = 1 if name == "emnist-letters" else 0
    torchvision = "EMNIST" if name.startswith("emnist") else name.upper().replace("FASHION-", "Fashion")
    contents = write(tmp_path / "data" / torchvision / "raw", files_of(name), first, packed=packed)
    small_fashion_mnist.accept(monkeypatch, contents, name)
    arrays = load_arrays(KIN[name], DataSource(folder=str(tmp_path / "data"), download=False), ignore)
    raw = np.frombuffer(contents[files_of(name)[0]], np.uint8, offset=16).reshape(TRAIN, 28, 28)
    upright = raw.transpose(0, 2, 1) if name.startswith("emnist") else raw
    assert np.array_equal(arrays["train_images"][:, 0].numpy(), upright)
    assert arrays["val_labels"].tolist() == [i % 10 for i in range(TEST)]


def test_a_stray_file_hides_no_whole_data_set(tmp_path: Path) -> None:
    names = files_of("mnist")
    write(tmp_path / "MNIST" / "raw", names)
    stray = tmp_path / f"{names[0]}.gz"
    stray.write_bytes(b"cut off")
    found = idx_files.find(idx_files.IDX_DATASETS["mnist"], tmp_path)
    assert list(found.values()) == [tmp_path / "MNIST" / "raw" / f"{name}.gz" for name in names]
    found[names[3]].unlink()  # the first place that has some is named
    message = rf"^{tmp_path} contains only a part of MNIST: {', '.join(f'{name}.gz' for name in names[1:])} missing$"
    with pytest.raises(DataError, match=message):
        idx_files.find(idx_files.IDX_DATASETS["mnist"], tmp_path)


def test_a_file_that_is_not_compressed_is_taken_first(tmp_path: Path) -> None:
    names = files_of("kmnist")
    for packed in (True, False):
        write(tmp_path, names, packed=packed)
    found = idx_files.find(idx_files.IDX_DATASETS["kmnist"], tmp_path)
    assert found == {name: tmp_path / name for name in names}


def test_files_without_known_checksums_are_told_by_their_shape(tmp_path: Path) -> None:
    write(tmp_path / "data", files_of("kmnist"))
    messages: list[str] = []
    source = DataSource(folder=str(tmp_path / "data"), download=False)
    assert len(load_arrays(KIN["kmnist"], source, messages.append)) == 4
    assert "kmnist: no checksums of these files are known" in messages[0]
    with pytest.raises(DataError, match="not found"):  # what was not verified is not cached for other runs
        load_arrays(KIN["kmnist"], DataSource(download=False), ignore)
    labels = tmp_path / "data" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(gzip.decompress(labels.read_bytes())[:-1]))
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.gz is damaged: 27 bytes when decompressed, expected 28"):
        load_arrays(KIN["kmnist"], DataSource(folder=str(tmp_path / "data"), download=False), ignore)


def test_files_of_another_data_set_are_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST's, MNIST's and KMNIST's files have the same names and sizes."""
    write(tmp_path / "data", files_of("kmnist"))
    source = DataSource(folder=str(tmp_path / "data"), download=False)
    for name, title in (("fashion-mnist", "Fashion-MNIST"), ("mnist", "MNIST")):
        with pytest.raises(DataError) as caught:
            load_arrays(KIN[name], source, ignore)
        message = str(caught.value)
        assert f"train-images-idx3-ubyte.gz is not {title}'s: it has the same format (40 × 28 × 28 values)" in message
        assert "--dataset" in message and "damaged" not in message
    monkeypatch.setattr(
        idx_files,
        "ARCHIVES",
        {"kmnist": (hashlib.md5((tmp_path / "data" / "train-images-idx3-ubyte.gz").read_bytes()).hexdigest(),)},
    )
    with pytest.raises(DataError, match="is not MNIST's but kmnist's, in the same format: train on it with --dataset"):
        load_arrays(KIN["mnist"], source, ignore)


def test_the_checksums_are_torchvisions() -> None:
    from torchvision import datasets  # type: ignore[import-untyped]

    for name, reader in (("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")):
        assert idx_files.ARCHIVES[name] == tuple(digest for _, digest in getattr(datasets, reader).resources)
    theirs = {name: digest for _, name, digest in datasets.SVHN.split_list.values()}
    assert checksummed_files.SVHN.digests.items() <= theirs.items()
    for files, cifar in (
        (checksummed_files.CIFAR_10, datasets.CIFAR10),
        (checksummed_files.CIFAR_100, datasets.CIFAR100),
    ):
        meta, archive = (cifar.meta["filename"], cifar.meta["md5"]), (cifar.filename, cifar.tgz_md5)
        assert files.digests == dict((archive, *cifar.train_list, *cifar.test_list, meta))
        assert (files.archive, files.places[0]) == (cifar.filename, cifar.base_folder)


def test_the_classes_are_torchvisions() -> None:
    from torchvision.datasets import EMNIST, KMNIST  # type: ignore[import-untyped]

    for split in ("balanced", "digits", "letters"):
        images = DATASETS[f"emnist-{split}"].images
        assert images is not None
        assert list(images.classes) == [name for name in EMNIST.classes_split_dict[split] if name != "N/A"]
    kmnist = DATASETS["kmnist"].images
    assert kmnist is not None and list(kmnist.classes) == KMNIST.classes


def element(kind: int, data: bytes) -> bytes:
    """Return a data element of a MAT file; small ones are written in 8 bytes."""
    if len(data) <= 4:
        return struct.pack("<HH4s", kind, len(data), data)
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def mat(**arrays: Any) -> bytes:
    """Return a MAT file of version 5 with compressed uint8 matrices."""
    content = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x100, b"IM")
    for name, array in arrays.items():
        parts = (
            element(6, struct.pack("<II", 9, 0)),
            element(5, struct.pack(f"<{array.ndim}i", *array.shape)),
            element(1, name.encode()),
            element(2, array.tobytes(order="F")),
        )
        packed = zlib.compress(element(14, b"".join(parts)))
        content += struct.pack("<II", 15, len(packed)) + packed
    return content


def test_svhn_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = {}
    for number, (name, count) in enumerate((("train_32x32.mat", TRAIN), ("test_32x32.mat", TEST))):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = np.array([[1 + i % 10] for i in range(count)], np.uint8)  # 10 is the digit 0
        images[name] = pixels
        (tmp_path / name).write_bytes(mat(X=pixels, y=labels))
    digests = {name: hashlib.md5((tmp_path / name).read_bytes()).hexdigest() for name in images}
    for name, digest in digests.items():
        monkeypatch.setitem(checksummed_files.SVHN.digests, name, digest)
    source = DataSource(folder=str(tmp_path), download=False)
    arrays = load_arrays(svhn.SVHN, source, ignore)
    assert np.array_equal(arrays["train_images"].numpy(), images["train_32x32.mat"].transpose(3, 2, 0, 1))
    assert arrays["val_labels"].tolist() == [(1 + i) % 10 for i in range(TEST)]
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"only a part of the files of svhn: test_32x32\.mat missing"):
        load_arrays(svhn.SVHN, source, ignore)


def test_every_published_data_set_is_declared() -> None:
    assert PUBLISHED.keys() == DATASET_FILES.keys() == {name for name, entry in DATASETS.items() if entry.images}
    assert all(entry.download_bytes for entry in DATASETS.values() if entry.images)
