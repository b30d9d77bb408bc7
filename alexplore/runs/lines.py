"""Append-only JSON lines: one writer at a time, any number of readers.

A line is written whole by one `write`. A torn last line, as a crash leaves it, is cut by the next writer and not read.
Numbers that are not finite are the strings "NaN", "Infinity" and "-Infinity", since JSON has none.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeGuard

VERSION = 1
SYNC_SECONDS = 30.0
HEAD: Mapping[str, tuple[type, ...]] = {"v": (int,), "seq": (int,), "attempt": (int,), "time": (int, float)}


class LineWriter:
    """Appends records to a file, each with `v`, `seq`, `attempt` and `time`."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._sequence = _cut_torn_line(self._descriptor)
        self._end = os.fstat(self._descriptor).st_size
        self._synced = time.monotonic()

    def append(self, **record: Any) -> None:
        """Write one record; on disk for certain within 30 s, or when `sync` is called.

        Raises:
            OSError: the disk is full or gone. A line that was written in part is cut off again.
        """
        if os.fstat(self._descriptor).st_size != self._end:  # the first of the ranks that this process launched wrote
            self._sequence = _cut_torn_line(self._descriptor)
        head = {"v": VERSION, "seq": self._sequence, "attempt": self._attempt, "time": round(time.time(), 3)}
        line = (json.dumps(finite({**head, **record}), ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        end = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise
        if written < len(line):
            os.ftruncate(self._descriptor, end)
            raise OSError(28, "No space left on device")
        self._sequence += 1
        self._end = end + written
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Force what was written onto the disk."""
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._descriptor)

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LineReader:
    """Reads what was appended since the last call, by byte offset to the last newline."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def skip_to(self, offset: int) -> None:
        """Begin at the first line after `offset`, if there is a file."""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(offset)
            self._offset = offset + len(file.readline())

    def read(self, limit: int = 4 * 1024 * 1024) -> list[dict[str, Any]]:
        """New records, from at most `limit` bytes; a damaged line is passed over. Nothing where there is no file."""
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:  # another file in its place
                    self._offset = 0
                file.seek(self._offset)
                block = file.read(limit)
        except OSError:
            return []
        whole = block[: block.rfind(b"\n") + 1]
        self._offset += len(whole)
        records = []
        for line in whole.splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if _is_record(record):
                records.append(record)
        return records

    def read_all(self) -> Iterator[dict[str, Any]]:
        """All new records, however many: read a block at a time, as they are taken."""
        before = None
        while before != self._offset:
            before = self._offset
            yield from self.read()


def _is_record(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object in which what every record begins with, where it is there, is of its type."""
    return isinstance(value, dict) and all(type(value[key]) in kinds for key, kinds in HEAD.items() if key in value)


def last_records(path: Path, size: int = 64 * 1024) -> list[dict[str, Any]]:
    """The records in the last `size` bytes of a file of lines."""
    reader = LineReader(path)
    try:
        length = path.stat().st_size
    except OSError:
        return []
    if length > size:
        reader.skip_to(length - size)
    return reader.read(size)


def last_sequence(path: Path) -> int:
    """The number of the last record of a file of lines; -1 without one."""
    return max((record.get("seq", -1) for record in last_records(path)), default=-1)


def read_number(value: Any) -> float | None:
    """A number of a record, with those that are not finite; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            return None
    return (
        {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value) if isinstance(value, str) else None
    )


def finite(value: Any) -> Any:
    """A value as JSON can have it: numbers that are not finite as strings, which `read_number` reads."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
        case _:
            return value


def _cut_torn_line(descriptor: int) -> int:
    """Cut what follows the last newline; the next sequence number."""
    size = os.fstat(descriptor).st_size
    sequence, end, tail = 0, size, b""
    while end > 0:
        start = max(0, end - 64 * 1024)
        tail = os.pread(descriptor, end - start, start) + tail
        end = start
        if tail.count(b"\n") > 1:
            break
    whole = tail.rfind(b"\n") + 1
    if whole < len(tail):
        os.ftruncate(descriptor, size - len(tail) + whole)
    lines = tail[:whole].splitlines()
    for line in reversed(lines):
        try:
            return int(json.loads(line)["seq"]) + 1
        except (ValueError, KeyError, TypeError, RecursionError):
            sequence += 1
    return sequence
