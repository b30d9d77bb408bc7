"""What a browser of folders shows: the entries of a folder, what it holds, and how a typed path goes on."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alexplore.core.formatting import bytes_text
from alexplore.runs.image_layout import SUFFIXES, TRAIN_NAMES, VAL_NAMES, DataError, find_layout

MOST_COUNTED = 2000  # entries of a folder that are counted


@dataclass(frozen=True)
class Entry:
    """A folder or a file; `bytes` is the size of a file."""

    path: Path
    is_folder: bool
    bytes: int = 0

    @property
    def text(self) -> str:
        """The name, with a slash behind a folder's."""
        return f"{self.path.name}/" if self.is_folder else self.path.name

    @property
    def note(self) -> str:
        """The size of a file."""
        return "" if self.is_folder else bytes_text(self.bytes)


def restarted(typed: str) -> str:
    """Return the path without what is before a second beginning: whoever types /data or ~/data behind a folder's path
    means it, not a folder inside the one that was there.
    """
    start = max(typed.rfind("//") + 1, typed.rfind("/~") + 1)
    return typed[start:]


def absolute(typed: str) -> Path:
    """Return the path that a text means, with ~ for the user's folder."""
    path = Path(restarted(typed) or ".")
    with suppress(RuntimeError):  # ~ of a user that does not exist
        path = path.expanduser()
    return Path(os.path.abspath(path))  # noqa: PTH100 (a link in it stays as it was typed)


def entries(folder: Path, suffixes: Container[str] | None = None) -> list[Entry]:
    """Return the folders in a folder and, with `suffixes`, the files with one of them; hidden ones are left out.

    Raises:
        OSError: it can't be read.
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
            except OSError:  # gone since it was listed
                continue
    return sorted(found, key=lambda entry: (not entry.is_folder, entry.path.name.casefold()))


def classes_text(folder: Path) -> str:
    """Return how many classes an image folder has.

    Raises:
        DataError: it is laid out wrongly.
    """
    return find_layout(folder).text


def holds(folder: Path) -> str:
    """Return what a folder holds: the classes of a data set, or how many folders and pictures."""
    try:
        if all(any((folder / name).is_dir() for name in names) for names in (TRAIN_NAMES, VAL_NAMES)):
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
    return f"{folders:,} folder{'s' * (folders != 1)}, {pictures:,} picture{'s' * (pictures != 1)}"


def completed(typed: str, suffixes: Container[str] | None = None) -> str:
    """Return how a typed path goes on, as far as that is certain; the text itself where it does not."""
    typed = restarted(typed)
    head, _, stem = typed.rpartition("/")
    try:
        inside = entries(absolute(f"{head}/" if "/" in typed else "."), suffixes)
    except OSError:
        return typed
    matching = [entry.text for entry in inside if entry.text.startswith(stem)]
    if typed in ("~", "..") or not matching:
        return f"{typed}/" if typed and absolute(typed).is_dir() and not typed.endswith("/") else typed
    return typed[: len(typed) - len(stem)] + os.path.commonprefix(matching)  # noqa: RUF071 (of names, by characters)
