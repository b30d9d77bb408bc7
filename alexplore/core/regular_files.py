"""Open files that another user may have created: only regular files, without waiting for anything.

A FIFO without a writer would block for ever, and a device may never end. Opening does not follow a link where the
file belongs to a run: what a run directory holds must be in it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LARGEST_TEXT = 64 * 2**20
"""Bytes of a text file that is read as a whole: a preset, config.json."""

DEEPEST = 64
"""Levels of nesting in JSON: what alexplore writes has fewer than 10, and Python's own limit is an exception."""

KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a link",
}


class FileKindError(OSError):
    """Something that is no regular file stands in place of one; `strerror` says what it is."""


def open_regular(path: Path, *, links: bool = True) -> io.BufferedReader:
    """Open a regular file to read it. With `links=False` a link in its place is not followed.

    Raises:
        FileKindError: it is a FIFO, a device, a socket, a directory, or a link that is not followed.
        OSError: there is no such file, or it can't be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except ValueError:  # a null byte in the name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except OSError:
        check_regular(path, links=links)  # a socket can't be opened, nor a link with O_NOFOLLOW: say what it is
        raise
    try:
        _check_kind(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(path: Path, *, links: bool = True) -> None:
    """Check that a path is a regular file, for libraries that open it themselves.

    Raises:
        FileKindError: it is something else, see `open_regular`.
        OSError: there is no such file.
    """
    regular_size(path, links=links)


def regular_size(path: Path, *, links: bool = True) -> int:
    """Return the bytes of a regular file.

    Raises:
        OSError: see `check_regular`.
    """
    status = path.stat(follow_symlinks=links)
    _check_kind(status.st_mode, path)
    return status.st_size


FileStamp = tuple[int, int, int]


def file_stamp(path: Path) -> FileStamp | None:
    """Return a value that changes whenever a file is replaced or written to; None if there is no file."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def read_text(path: Path, *, links: bool = True, encoding: str = "utf-8") -> str:
    """Return the text of a regular file.

    Raises:
        OSError: see `open_regular`; or the file has more than `LARGEST_TEXT` bytes.
        UnicodeDecodeError: it is not text in this encoding.
    """
    with open_regular(path, links=links) as file:
        size = os.fstat(file.fileno()).st_size  # a larger limit would reserve memory, which takes time
        content = file.read(min(size, LARGEST_TEXT) + 1)
    if len(content) > LARGEST_TEXT:
        raise OSError(errno.EFBIG, f"has more than {LARGEST_TEXT // 2**20} MiB", str(path))
    return content.decode(encoding)


def parse_json(content: str | bytes) -> Any:
    """Return a JSON value.

    Raises:
        ValueError: it is not JSON, or nested deeper than `DEEPEST`; the message says which.
    """
    import json

    text = content.decode("utf-8", "surrogatepass") if isinstance(content, bytes) else content
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(value)
    return value


def read_json(path: Path, *, links: bool = True) -> dict[str, Any] | None:
    """Return the JSON object in a file, None if there is no file or no complete object in it."""
    try:
        return read_json_object(path, links=links)
    except (OSError, ValueError):
        return None


def read_json_object(path: Path, *, links: bool = True) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        OSError: see `read_text`.
        ValueError: it holds something else; the message says what, without the file.
    """
    try:
        value = parse_json(read_text(path, links=links))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (the one error of a damaged file)
    return value


def _check_kind(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        found = KINDS.get(stat.S_IFMT(mode), "something else")
        raise FileKindError(errno.EINVAL, f"is {found}, not a regular file", str(path))


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [item for one in level for item in _items(one)]
        if not level:
            return
    raise ValueError("nested too deep")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
