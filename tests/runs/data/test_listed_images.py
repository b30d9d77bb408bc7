"""Listings of image folders are remembered, and forgotten as soon as a folder changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from alexplore.runs.data import image_layout, listed_images
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import LeftOut
from alexplore.runs.data.listed_images import list_pictures
from tests.faults.damage import replaced, retyped

CLASSES = ("cat", "dog")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of five pictures that have settled, where a listing of any length is remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(listed_images, "FEWEST", 1)
    base = tmp_path / "pictures"
    for path in (
        "cat/b.jpg",
        "cat/a.png",
        "cat/more/c.JPG",
        "dog/d.webp",
        "dog/\udcffe.jpg",
        "dog/notes.txt",
        "dog/.x",
    ):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).touch()
    settle(base)
    return base


def settle(base: Path) -> None:
    """Let all folders have changed long ago."""
    for path in (base, *(path for path in base.rglob("*") if path.is_dir())):
        os.utime(path, (1e9, 1e9))


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Return the folders of classes that are looked through."""
    seen: list[Path] = []
    plain = image_layout.find_pictures

    def noted(folder: Path, *arguments: object) -> Iterator[str]:
        seen.append(folder)
        return plain(folder, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(listed_images, "find_pictures", noted)
    yield seen


def listed(folder: Path) -> tuple[dict[str, list[str]], str]:
    left_out = LeftOut(folder)
    return list_pictures(folder, CLASSES, left_out), left_out.text


FOUND = {"cat": ["cat/a.png", "cat/b.jpg", "cat/more/c.JPG"], "dog": ["dog/d.webp", "dog/\udcffe.jpg"]}
TEXT = "left out: 1 file that is no picture (dog/notes.txt), 1 hidden"


def test_it_is_found_once_and_then_remembered(folder: Path, walks: list[Path]) -> None:
    assert listed(folder) == (FOUND, TEXT)
    assert len(walks) == 2
    assert listed(folder) == (FOUND, TEXT)
    assert len(walks) == 2


@pytest.mark.parametrize("change", ["dog/new.jpg", "cat/more/new.jpg", "fox/a.jpg"])
def test_a_new_file_is_seen_in_whatever_folder(folder: Path, walks: list[Path], change: str) -> None:
    listed(folder)
    (folder / change).parent.mkdir(exist_ok=True)
    (folder / change).touch()
    pictures, _ = listed(folder)
    assert (change in pictures["cat"] + pictures["dog"]) == (not change.startswith("fox"))
    assert len(walks) == 4


def test_what_changed_just_now_is_not_remembered(folder: Path, walks: list[Path]) -> None:
    (folder / "dog" / "new.jpg").touch()
    listed(folder)
    listed(folder)
    assert len(walks) == 4


def test_a_removed_file_a_damaged_cache_and_other_classes(folder: Path, walks: list[Path], tmp_path: Path) -> None:
    listed(folder)
    (folder / "cat" / "a.png").unlink()
    settle(folder)
    os.utime(folder / "cat", (2e9, 1.1e9))
    assert listed(folder)[0]["cat"] == ["cat/b.jpg", "cat/more/c.JPG"]
    (cache,) = (tmp_path / "cache").rglob("*.txt")
    cache.write_bytes(cache.read_bytes().replace(b"b.jpg", b"z.jpg"))
    assert listed(folder)[0]["cat"] == ["cat/b.jpg", "cat/more/c.JPG"]
    assert list(list_pictures(folder, ("dog", "cat"), LeftOut(folder))) == ["dog", "cat"]
    assert list_pictures(folder, ("dog", "emu"), LeftOut(folder))["emu"] == []


def test_any_damaged_cache_is_made_again(folder: Path, tmp_path: Path) -> None:
    whole = listed(folder)[0]
    (cache,) = (tmp_path / "cache").rglob("*.txt")
    head, _, rest = cache.read_bytes().partition(b"\n")
    for damaged in retyped(head):
        cache.write_bytes(damaged + b"\n" + rest)
        assert listed(folder)[0] == whole
    for kind in replaced(cache):
        assert listed(folder)[0] == whole, kind


def test_few_pictures_leave_no_file_behind(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_images, "FEWEST", 100)
    listed(folder)
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone can't be read: No such file"):
        listed(tmp_path / "gone")
