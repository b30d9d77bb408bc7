"""What a browser of folders shows, without the app."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alexplore.runs.data.image_layout import SUFFIXES
from alexplore.tui.folders import MOST_COUNTED, absolute, complete_path, contents_text, entries


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
    assert contents_text(folder / "data") == "train/ and val/ with 2 classes"
    assert contents_text(folder) == "2 folders, 2 pictures"
    assert contents_text(folder / "nowhere").startswith("can't be read: No such file")
    (folder / "data" / "train" / "horse").mkdir()
    assert "train and val have different classes" in contents_text(folder / "data")


def test_a_large_folder_is_not_counted_to_its_end(tmp_path: Path) -> None:
    for number in range(MOST_COUNTED + 1):
        (tmp_path / f"{number}").touch()
    assert contents_text(tmp_path) == "more than 2,000 files"


def test_a_path_is_completed_as_far_as_it_is_certain(folder: Path) -> None:
    assert complete_path(f"{folder}/d") == f"{folder}/data"
    assert complete_path(f"{folder}/data2") == f"{folder}/data2/"
    assert complete_path(f"{folder}/data/t") == f"{folder}/data/train/"
    assert complete_path(f"{folder}/x") == f"{folder}/x"
    assert complete_path(f"{folder}/nowhere/x") == f"{folder}/nowhere/x"
    assert complete_path(f"{folder}/S", SUFFIXES) == f"{folder}/Shirt.JPG"


def test_the_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert absolute("~/data") == folder / "data"
    assert complete_path("~/data2") == "~/data2/"
    assert complete_path("~") == "~/"
    assert absolute("~nosuchuser/x").name == "x"


def test_a_path_may_begin_anew_behind_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert absolute(f"/usr/{folder}/data") == folder / "data"
    assert absolute("/usr/~/data") == folder / "data"
    assert complete_path(f"/usr/{folder}/data2") == f"{folder}/data2/"
    assert absolute("/usr/share/") == Path("/usr/share")
