"""Folders of the user. A user without a home folder, as in some containers, has none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from alexplore.core.errors import WrongUseError


class NoHomeError(WrongUseError):
    """There is no home folder, of this user or of one that was named; the message says what to do instead."""


def expand(path: Path | str) -> Path:
    """Return a path with `~` or `~user` at its start replaced by the home folder.

    Raises:
        NoHomeError: there is no such user, or the user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        first = Path(path).parts[0]
        raise NoHomeError(f"{path}: there is no home folder {first}; write the path without {first}") from None


def resolved(path: Path) -> Path:
    """Return the absolute path of a path, with links resolved as far as that is possible.

    `Path.resolve` raises a RuntimeError for a link to itself, before Python 3.13.
    """
    return Path(os.path.realpath(path))


def user_folder(kind: Literal["config", "data", "cache"], instead: str) -> Path:
    """Return the folder of alexplore in which this user keeps settings, data or what can be made again.

    `instead` says what to do without a home folder, for the message.

    Raises:
        NoHomeError: there is no home folder.
    """
    import platformdirs

    try:
        folder: Path = getattr(platformdirs, f"user_{kind}_path")("alexplore")
    except RuntimeError:
        folder = Path()
    if not folder.is_absolute():  # older versions of platformdirs return "~/…" as it is
        raise NoHomeError(f"this user has no home folder: {instead}")
    return folder


def home_path(path: Path) -> str:
    """Return the text of a path, with ~ for the user's home folder."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
