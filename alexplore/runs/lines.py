"""Append-only files of JSON lines: one writer at a time, any number of readers.

A writer writes a line whole, with one `write`. A crash may leave a torn last line: readers skip it, the next writer
cuts it off. JSON has no numbers that are not finite: they are the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, TypeGuard

from alexplore.core.boundary import os_error_text
from alexplore.core.regular_files import open_regular, parse_json, regular_size

VERSION = 1
"""Version of the lines. Changing the meaning of a key adds 1; new keys and new kinds of events do not."""

SYNC_SECONDS = 30.0
BLOCK_BYTES = 4 * 1024 * 1024
"""The most bytes that a reader reads at a time, and the length of the longest line that it accepts."""

SMALL_BLOCK_BYTES = 256 * 1024
"""Bytes of a block of a long file: small enough for the processor's caches, and not to delay other threads."""

LAST_SECOND = 253_402_300_799.0
"""The last second of the year 9999, since 1970: dates end there."""

HEAD: Mapping[str, tuple[tuple[type, ...], float]] = {
    "v": ((int,), 2**31),
    "seq": ((int,), 2**63),
    "attempt": ((int,), 2**31),
    "time": ((int, float), LAST_SECOND),
}
"""The first keys of every line, with their types and largest values; the smallest value is 0."""


class LineWriter:
    """Appends records to a file, each with `v`, `seq`, `attempt` and `time` (seconds since 1970)."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._sequence = _cut_torn_line(self._descriptor)
        self._end = os.fstat(self._descriptor).st_size
        self._synced = time.monotonic()

    def append(self, **record: Any) -> None:
        """Write one record. Records are forced to disk every 30 s, and by `sync`.

        Raises:
            OSError: the disk is full or gone. A part of the line that was written is cut off again.
        """
        if (
            os.fstat(self._descriptor).st_size != self._end
        ):  # another process wrote to the file: a rank that this one launched
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
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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
    """Reads the records that were appended since the last call.

    Damaged lines and lines of more than `BLOCK_BYTES` are skipped; a file that does not exist has no records. `problem`
    is why the file can't be read, for example because it is not a regular file. `behind` is whether the last read ended
    before the end of the file.
    """

    def __init__(self, path: Path, tail: int | None = None) -> None:
        """Start at the beginning of the file, or at the first line in its last `tail` bytes."""
        self.problem: str | None = None
        self.behind = False
        self._path = path
        self._offset = 0
        self._skipping = False  # whether to skip up to the next newline
        if tail is not None and (start := self._size() - tail) > 0:
            self._offset, self._skipping = start - 1, True  # the byte before may be the newline
        self.from_beginning = not self._skipping

    def read(self, limit: int = BLOCK_BYTES) -> list[dict[str, Any]]:
        """Return the records in the next `limit` bytes, or in more if a line is longer."""
        return parse_lines(self._read_lines(limit))

    def read_blocks(self) -> Iterator[list[dict[str, Any]]]:
        """Yield all new records in blocks of `SMALL_BLOCK_BYTES`; a block is read when the caller asks for it."""
        return map(parse_lines, self._read_blocks_of_lines())

    def read_all(self) -> Iterator[dict[str, Any]]:
        """Yield all new records; the file is read one block at a time."""
        for block in self.read_blocks():
            yield from block

    def read_all_lines(self) -> Iterator[bytes]:
        """Yield all new lines without parsing them; the file is read one block at a time."""
        for block in self._read_blocks_of_lines():
            yield from block

    def _read_blocks_of_lines(self) -> Iterator[list[bytes]]:
        self.behind = True
        while self.behind:
            yield self._read_lines(SMALL_BLOCK_BYTES)

    def _read_lines(self, limit: int) -> list[bytes]:
        """Return the lines in the next `limit` bytes, or in more if a line is longer."""
        size = self._size()
        self.behind = False
        if size < self._offset:  # the file was replaced
            self._offset, self._skipping = 0, False
        if size <= self._offset:
            return []
        try:
            with open_regular(self._path, links=False) as file:
                file.seek(self._offset)
                block = file.read(min(limit, size - self._offset))  # a larger limit would reserve memory
                if len(block) == limit < BLOCK_BYTES and b"\n" not in block:  # in the middle of a long line
                    block, limit = block + file.read(BLOCK_BYTES - limit), BLOCK_BYTES
        except OSError as error:
            self.problem = os_error_text(error)
            return []
        self.behind = len(block) == limit
        return self._whole_lines(block, limit)

    def _whole_lines(self, block: bytes, limit: int) -> list[bytes]:
        """Return the lines that end in a block, and move the offset behind the last of them."""
        start = 0
        if self._skipping:
            start = block.find(b"\n") + 1
            if not start:
                self._offset += len(block)
                return []
            self._skipping = False
        end = block.rfind(b"\n") + 1
        if end:
            self._offset += end
            return block[start : end - 1].split(b"\n")
        if len(block) == limit:
            self._offset += len(block)
            self._skipping = True
        return []

    def _size(self) -> int:
        self.problem = None
        try:
            return regular_size(self._path, links=False)
        except FileNotFoundError:
            return 0
        except OSError as error:
            self.problem = os_error_text(error)
            return 0


def sample_blocks(path: Path, pieces: int, size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield records of a sample of a file's lines: those in `pieces` evenly spaced pieces of `size` bytes.

    The pieces do not overlap; a short file has fewer. A file that can't be read has none.
    """
    try:
        with open_regular(path, links=False) as file:
            length = os.fstat(file.fileno()).st_size
            pieces = min(pieces, length // size)
            for piece in range(pieces):
                file.seek(max(0, (length - size) * piece // max(1, pieces - 1)))
                whole = file.read(size).split(b"\n")[1:-1]  # the first and the last line may be torn
                yield parse_lines(whole)
    except OSError:
        return


def last_sequence(path: Path) -> int:
    """Return the number (`seq`) of the last record of a file; -1 if it has none."""
    return max((record.get("seq", -1) for record in LineReader(path, tail=64 * 1024).read_all()), default=-1)


def read_number(value: Any) -> float | None:
    """Return a value of a record if it is a number, finite or not; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            return None
    return NONFINITE_SPELLINGS.get(value) if isinstance(value, str) else None


def read_time(value: Any) -> float | None:
    """Return a value of a record if it is a time, in seconds since 1970, up to the year 9999; None otherwise."""
    number = read_number(value)
    return number if number is not None and 0 <= number <= LAST_SECOND else None


NONFINITE_SPELLINGS: Mapping[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def finite(value: Any) -> Any:
    """Return a value that JSON can hold: numbers that are not finite become strings, which `read_number` reads."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Mapping():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
        case _:
            return value


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line; None if it is damaged."""
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if _is_record(record) else None


def parse_lines(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the records of lines that are not damaged, as `parse_line` does, in half the time."""
    if not lines:
        return []
    records = _parse_together(lines)
    return [record for line in lines if (record := parse_line(line)) is not None] if records is None else records


def _parse_together(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Parse lines as one JSON array; return None if a line may be damaged or contain another object or a list.

    The only opening brace of each line is its first character, so every record comes from one line.
    """
    text = b"[" + b",".join(lines) + b"]"
    if not all(line.startswith(b"{") for line in lines) or text.count(b"{") != len(lines) or text.count(b"[") != 1:
        return None
    try:
        records: list[dict[str, Any]] = json.loads(text.decode())
    except ValueError:
        return None
    if len(records) != len(lines) or set(map(type, records)) != {dict}:
        return None
    return records if _are_heads_allowed(records) else list(filter(_is_record, records))


def _are_heads_allowed(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether `HEAD` certainly allows the heads of all records; testing them together is faster."""
    for key, (kinds, most) in HEAD.items():
        try:
            values = list(map(itemgetter(key), records))
        except KeyError:
            values = [record[key] for record in records if key in record]
        if not set(map(type, values)) <= set(kinds):
            return False
        if values and not (min(values) >= 0 and max(values) <= most and math.isfinite(sum(values))):  # NaN in the sum
            return False
    return True


def _is_record(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a value is an object, and `HEAD` allows those of its keys that belong to the head."""
    return isinstance(value, dict) and all(
        type(value[key]) in kinds and 0 <= value[key] <= most for key, (kinds, most) in HEAD.items() if key in value
    )


def _cut_torn_line(descriptor: int) -> int:
    """Cut off what follows the last newline and return the next sequence number."""
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
        record = parse_line(line)
        if record is not None and "seq" in record:
            return int(record["seq"]) + 1
        sequence += 1
    return sequence
