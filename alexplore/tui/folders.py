"""For browsing folders: the entries of a folder, a summary of its contents, and completing a typed path."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alexplore.core.formatting import bytes_text, count_text
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import SUFFIXES, TRAIN_NAMES, VAL_NAMES, find_layout

MOST_COUNTED = 2000  # entries of a folder that are counted


@dataclass(frozen=True)
class Entry:
    """A folder or a file; `bytes` is the size of a file."""

    path: Path
    is_folder: bool
    bytes: int = 0

    @property
    def text(self) -> str:
        """The name, with a slash after a folder's."""
        return f"{self.path.name}/" if self.is_folder else self.path.name

    @property
    def note(self) -> str:
        """The size of a file."""
        return "" if self.is_folder else bytes_text(self.bytes)


def last_path(typed: str) -> str:
    """Return the last path in a text, such as `/data` of `/home/me//data`, or `~/data` of `/home/me/~/data`.

    A user who types /data or ~/data after the path of a folder means that path, and not a folder inside the other.
    """
    start = max(typed.rfind("//") + 1, typed.rfind("/~") + 1)
    return typed[start:]


def absolute(typed: str) -> Path:
    """Return the absolute path of a typed text, in which ~ means the user's home folder."""
    path = Path(last_path(typed) or ".")
    with suppress(RuntimeError):  # the user of ~user does not exist
        path = path.expanduser()
    return Path(os.path.abspath(path))  # noqa: PTH100 (links are not resolved)


def entries(folder: Path, suffixes: Container[str] | None = None) -> list[Entry]:
    """Return the folders in a folder and, with `suffixes`, the files with one of them; hidden ones are left out.

    Raises:
        OSError: the folder can't be read.
    """
    found = []
    with os.scandir(folder) as inside:
        for entry in inside:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    found.append(Entry(Path(entry.path), is_folder=True))
                elif suffixes is not None and entry.is_file() and Path(entry.name).suffix.lower() in suffixes:
                    found.append(Entry(Path(entry.path), is_folder=False, bytes=entry.stat().st_size))
            except OSError:  # removed since it was listed
                continue
    return sorted(found, key=lambda entry: (not entry.is_folder, entry.path.name.casefold()))


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder.

    It may have been typed: for a name that is too long, or a folder above it that can't be read, `Path.is_dir` raises
    an OSError before Python 3.14.
    """
    return os.path.isdir(path)  # noqa: PTH112


def classes_text(folder: Path) -> str:
    """Return the parts and the number of classes of an image folder.

    Raises:
        DataError: its layout is wrong.
    """
    return find_layout(folder).text


def contents_text(folder: Path) -> str:
    """Return a summary of a folder: the classes of a data set, or the numbers of folders and pictures."""
    try:
        if all(any(is_folder(folder / name) for name in names) for names in (TRAIN_NAMES, VAL_NAMES)):
            return classes_text(folder)
        folders = pictures = 0
        with os.scandir(folder) as inside:
            for count, entry in enumerate(inside):
                if count == MOST_COUNTED:
                    return f"more than {MOST_COUNTED:,} files"
                if entry.name.startswith("."):
                    continue
                folders += entry.is_dir()
                pictures += Path(entry.name).suffix.lower() in SUFFIXES
    except DataError as error:
        return str(error)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return f"{count_text(folders, 'folder')}, {count_text(pictures, 'picture')}"


def complete_path(typed: str, suffixes: Container[str] | None = None) -> str:
    """Return a typed path completed as far as there is one choice; the text itself if there is nothing to add."""
    typed = last_path(typed)
    head, _, stem = typed.rpartition("/")
    try:
        inside = entries(absolute(f"{head}/" if "/" in typed else "."), suffixes)
    except OSError:
        return typed
    matching = [entry.text for entry in inside if entry.text.startswith(stem)]
    if typed in ("~", "..") or not matching:
        return f"{typed}/" if typed and is_folder(absolute(typed)) and not typed.endswith("/") else typed
    return typed[: len(typed) - len(stem)] + os.path.commonprefix(matching)  # noqa: RUF071 (of names, by characters)
