"""Two folders exchange their names in one step, or nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.core.exchange import exchange


def test_names_are_exchanged(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "ö \udcff"
    for path in (a, b):
        path.mkdir()
        (path / f"of {path.name}").touch()
    if not exchange(a, b):
        pytest.skip("the file system can't exchange names")
    assert [path.name for path in (*a.iterdir(), *b.iterdir())] == ["of ö \udcff", "of a"]


def test_a_missing_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert not exchange(tmp_path / "a", tmp_path / "b")
    assert not exchange(tmp_path / "b", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
