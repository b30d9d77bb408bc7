"""Writing files that are whole or absent."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from alexplore.core.errors import WrongUseError

PRIVATE, SHARED = 0o600, 0o666
"""Permissions of a new file: of its owner alone, or as the umask allows."""


Content = str | bytes | Iterable[str] | Iterable[bytes]
"""What a file is to hold, whole or in pieces. A text is written in UTF-8."""


def _encoded(content: Content) -> Iterator[bytes]:
    for piece in (content,) if isinstance(content, str | bytes) else content:
        yield piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace")


def write_atomically(path: Path, content: Content, mode: int = PRIVATE, like: os.stat_result | None = None) -> None:
    """Replace `path` by `content`: a reader sees the old file or the new one, also after a power cut.

    The new file has the permissions `mode` without those that the umask denies, or the very
    ones of `like`.

    Raises:
        OSError: the folder can't be written or the disk is full; the old file is untouched, unless the disk failed
            after the file was replaced. The error names `path`.
    """
    kept = os.fsdecode(os.fsencode(path.name)[:LONGEST_KEPT])
    temporary = path.with_name(f".{kept}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if like is not None:
                    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
                file.writelines(_encoded(content))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_folder(path.parent)
    except OSError as error:
        raise _named(error, path) from None


LONGEST_KEPT = 240
"""Bytes of a file's name that are kept in the name of its temporary file. A file name may have 255 bytes."""


def check_no_folder(path: Path) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        WrongUseError: the path is that of a folder.
    """
    if path.is_dir():
        raise WrongUseError(f"{path} is a directory; give the name of a file in it")


def write_output(path: Path, content: Content) -> None:
    """Write a file that the user named: atomically, with the permissions of a file it replaces.

    A link stays a link: the file that it points to is replaced. A device or a FIFO is written to as it is.

    Raises:
        WrongUseError: the path is that of a folder.
        OSError: it can't be written; an old file is untouched. The error names `path`.
    """
    try:
        check_no_folder(path)
        target = Path(os.path.realpath(path))
        try:
            there = target.stat()
        except FileNotFoundError:
            write_atomically(target, content, SHARED)
            return
        if stat.S_ISREG(there.st_mode):
            write_atomically(target, content, like=there)
        else:
            with target.open("wb") as file:
                file.writelines(_encoded(content))
    except OSError as error:
        raise _named(error, path) from None


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut, on file systems that can be asked for that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _named(error: OSError, path: Path) -> OSError:
    """Return the same error about another path: the one that the caller knows."""
    return type(error)(error.errno, error.strerror, str(path))
