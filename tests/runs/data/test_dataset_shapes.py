"""Whether a data set is on this machine: in the user's cache or in the folder of a package, with all its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.core.home import NoHomeError
from alexplore.presets.datasets import DATASETS
from alexplore.runs.data.checksummed_files import CIFAR_10
from alexplore.runs.data.dataset_shapes import dataset_need, folder_of
from alexplore.runs.data.idx_files import MNIST_FILES


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's cache; a package's folder is `installed`, beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    entry = DATASETS["fashion-mnist"]._replace(installed_in=(str(tmp_path / "installed"),))
    monkeypatch.setitem(DATASETS, "fashion-mnist", entry)
    return tmp_path / "cache" / "alexplore"


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("")


def test_what_a_failed_download_leaves_is_no_data_set(cached: Path) -> None:
    put(cached / "mnist", "lock")
    assert (folder_of("mnist"), dataset_need("mnist")) == (None, "to fetch")
    put(cached / "mnist", f"{MNIST_FILES[0]}.gz")
    assert (folder_of("mnist"), dataset_need("mnist")) == (None, "to fetch")
    put(cached / "mnist", "images.safetensors")
    assert (folder_of("mnist"), dataset_need("mnist")) == (cached / "mnist", "here")


def test_files_that_were_copied_to_the_cache_are_a_data_set(cached: Path) -> None:
    """They are read and cached when it is first trained on."""
    put(cached / "mnist" / "MNIST" / "raw", *MNIST_FILES)
    assert (folder_of("mnist"), dataset_need("mnist")) == (cached / "mnist", "here")
    assert CIFAR_10.archive is not None
    put(cached / "cifar10", CIFAR_10.archive)
    assert (folder_of("cifar10"), dataset_need("cifar10")) == (cached / "cifar10", "here")


def test_the_folder_of_a_package_needs_the_files(cached: Path, tmp_path: Path) -> None:
    put(cached / "fashion-mnist", "lock")
    put(tmp_path / "installed", "README")
    assert (folder_of("fashion-mnist"), dataset_need("fashion-mnist")) == (None, "to fetch")
    put(tmp_path / "installed", *(f"{name}.gz" for name in MNIST_FILES))
    assert (folder_of("fashion-mnist"), dataset_need("fashion-mnist")) == (tmp_path / "installed", "here")


def test_a_user_without_a_home_folder_has_what_packages_have(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: str) -> Path:
        raise NoHomeError("no home folder")

    monkeypatch.setattr("alexplore.runs.data.dataset_shapes.user_folder", none)
    put(tmp_path / "installed", *MNIST_FILES)
    assert (folder_of("mnist"), dataset_need("mnist")) == (None, "to fetch")
    assert folder_of("fashion-mnist") == tmp_path / "installed"
