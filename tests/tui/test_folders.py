"""What a browser of folders shows, without the app."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alexplore.runs.image_layout import SUFFIXES
from alexplore.tui.folders import MOST_COUNTED, absolute, completed, entries, holds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a data set of two classes, pictures, and what is no picture."""
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
    (tmp_path / "data2").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "Shirt.JPG").write_bytes(b"12345")
    (tmp_path / "notes.txt").write_text("")
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path


def test_folders_come_first_and_only_pictures_follow(folder: Path) -> None:
    assert [entry.text for entry in entries(folder)] == ["data/", "data2/"]
    assert [(entry.text, entry.note) for entry in entries(folder, SUFFIXES)] == [
        ("data/", ""),
        ("data2/", ""),
        ("Shirt.JPG", "5 B"),
    ]


def test_what_a_folder_holds(folder: Path) -> None:
    assert holds(folder / "data") == "train/ and val/ with 2 classes"
    assert holds(folder) == "2 folders, 2 pictures"
    assert holds(folder / "nowhere").startswith("can't be read: No such file")
    (folder / "data" / "train" / "horse").mkdir()
    assert "train and val have different classes" in holds(folder / "data")


def test_a_large_folder_is_not_counted_to_its_end(tmp_path: Path) -> None:
    for number in range(MOST_COUNTED + 1):
        (tmp_path / f"{number}").touch()
    assert holds(tmp_path) == "more than 2,000 files"


def test_a_path_is_completed_as_far_as_it_is_certain(folder: Path) -> None:
    assert completed(f"{folder}/d") == f"{folder}/data"
    assert completed(f"{folder}/data2") == f"{folder}/data2/"
    assert completed(f"{folder}/data/t") == f"{folder}/data/train/"
    assert completed(f"{folder}/x") == f"{folder}/x"
    assert completed(f"{folder}/nowhere/x") == f"{folder}/nowhere/x"
    assert completed(f"{folder}/S", SUFFIXES) == f"{folder}/Shirt.JPG"


def test_the_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert absolute("~/data") == folder / "data"
    assert completed("~/data2") == "~/data2/"
    assert completed("~") == "~/"
    assert absolute("~nosuchuser/x").name == "x"


def test_a_path_may_begin_anew_behind_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert absolute(f"/usr/{folder}/data") == folder / "data"
    assert absolute("/usr/~/data") == folder / "data"
    assert completed(f"/usr/{folder}/data2") == f"{folder}/data2/"
    assert absolute("/usr/share/") == Path("/usr/share")
