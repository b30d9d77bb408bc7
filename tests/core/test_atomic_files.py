"""Files that a person asks for: whole or untouched, and errors that name them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from alexplore.core.atomic_files import write_atomically, write_output
from alexplore.core.errors import WrongUseError


def full(*_: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("write", [write_atomically, write_output])
@pytest.mark.parametrize("call", ["fsync", "open"])
def test_on_a_full_disk_the_old_file_stays_and_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, call: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError) as error:
        write(path, "new")
    assert (error.value.filename, error.value.errno) == (str(path), errno.ENOSPC)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_system_that_cannot_synchronise_folders_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def of_files_alone(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_output(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_output(link, "text")
    write_output(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()


def test_a_directory_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match=f"^{tmp_path} is a directory; give the name of a file in it$"):
        write_output(tmp_path, "text")


def test_what_is_no_utf_8_is_written_as_an_escape_and_long_names_are_possible(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_output(path, "a\ud800b")
    assert path.read_text() == "a\\ud800b"
