"""Reading files that may be no files, or JSON that may be anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alexplore.core.regular_files import (
    DEEPEST,
    FileKindError,
    check_regular,
    open_regular,
    parse_json,
    read_json,
    read_text,
)
from tests.faults.damage import replaced

WHAT = {"fifo": "a FIFO", "device": "a device", "socket": "a socket", "folder": "a directory"}


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("text")
    found = set()
    for kind in replaced(path):
        found.add(kind)
        if kind == "link_out":
            continue
        for read in (open_regular, read_text, check_regular):
            with pytest.raises(FileKindError) as error:
                read(path)
            assert error.value.strerror == f"is {WHAT[kind]}, not a regular file"
            assert error.value.filename == str(path)
    assert found == {*WHAT, "link_out"}
    assert read_text(path) == "text"


def test_links_are_followed_only_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link") == "{}"
    with pytest.raises(FileKindError, match="a link, not a regular file"):
        open_regular(tmp_path / "link", links=False)
    assert read_json(tmp_path / "link", links=False) is None


@pytest.mark.parametrize("name", ["missing", "a\0b", "x" * 300])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):
        open_regular(tmp_path / name)
    assert read_json(tmp_path / name) is None


@pytest.mark.parametrize("bracket", ["[]", "{}"])
def test_how_deep_json_may_be(bracket: str) -> None:
    opening = '{"a":' if bracket == "{}" else "["
    for depth, allowed in ((DEEPEST, True), (DEEPEST + 2, False), (900, False), (100_000, False)):
        text = opening * depth + "1" + bracket[1] * depth
        if allowed:
            parse_json(text)
        else:
            with pytest.raises(ValueError, match="nested too deep"):
                parse_json(text)


def test_wide_json_is_not_deep() -> None:
    value = [[[index]] for index in range(1000)]
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value
