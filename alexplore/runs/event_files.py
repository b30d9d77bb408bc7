"""TensorBoard's event files: records of scalars, written and read without TensorFlow or the package tensorboard.

A file is a sequence of TFRecords (length, checksum of the length, data, checksum of the data), each of which holds an
`Event` as a protocol buffer. Only the fields of scalars are written and read; the others are skipped.

Sources: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, framework/summary.proto and
framework/tensor.proto; CRC-32C is that of RFC 3720, appendix B.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

FILE_PREFIX = "events.out.tfevents."
"""Prefix of the names of event files: TensorBoard opens no others."""

FILE_VERSION = b"brain.Event:2"
LARGEST_RECORD = 64 * 2**20
"""The most bytes of a record that is read: event files may hold pictures too."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""


class EventFileError(ValueError):
    """An event file is damaged; the message says at which byte and how."""


@dataclass(frozen=True)
class ScalarEvent:
    """Scalars by their tags after `step` steps; `time` is in seconds since 1970."""

    step: int
    time: float
    values: Mapping[str, float] = field(default_factory=dict)


# Writing


def event_file_start(time: float) -> bytes:
    """Return the first record of an event file, which holds the version of the format."""
    return _record(struct.pack("<Bd", _key(1, FIXED64), time) + _bytes_field(3, FILE_VERSION))


def event_record(event: ScalarEvent) -> bytes:
    """Return the record of an event. Scalars are stored in single precision, as TensorBoard's own are."""
    values = b"".join(
        _bytes_field(
            1, _bytes_field(1, tag.encode(errors="replace")) + struct.pack("<Bf", _key(2, FIXED32), _single(value))
        )
        for tag, value in event.values.items()
    )
    head = struct.pack("<BdB", _key(1, FIXED64), event.time, _key(2, VARINT)) + _varint(event.step)
    return _record(head + _bytes_field(5, values))


def _single(value: float) -> float:
    """Return a number that fits in single precision: infinity if it is too large."""
    try:
        struct.pack("<f", value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return value


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def _key(number: int, wire_type: int) -> int:
    return number << 3 | wire_type


def _bytes_field(number: int, content: bytes) -> bytes:
    return bytes((_key(number, BYTES),)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative numbers are written in two's complement
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


# Reading


def read_events(file: BinaryIO) -> Iterator[ScalarEvent]:
    """Yield the events with scalars from a file's position on; the position is then after the last complete record.

    An incomplete record at the end is left for a later call.

    Raises:
        EventFileError: the file is damaged.
    """
    while (data := _next_record(file)) is not None:
        try:
            event = _event(data)
        except (ValueError, struct.error, IndexError):
            raise EventFileError(f"the record before byte {file.tell()} is no event") from None
        if event.values:
            yield event


def _next_record(file: BinaryIO) -> bytes | None:
    start = file.tell()
    head = file.read(12)
    if len(head) == 12:
        length, checksum = struct.unpack("<QI", head)
        if checksum != masked_crc(head[:8]):
            raise EventFileError(f"the checksum of the length at byte {start} is wrong")
        if length > LARGEST_RECORD:
            raise EventFileError(f"the record at byte {start} has {length} bytes, allowed: {LARGEST_RECORD}")
        body = file.read(length + 4)
        if len(body) == length + 4:
            data = body[:-4]
            if struct.unpack("<I", body[-4:])[0] != masked_crc(data):
                raise EventFileError(f"the checksum of the record at byte {start} is wrong")
            return data
    file.seek(start)
    return None


def _event(data: bytes) -> ScalarEvent:
    time, step, values = 0.0, 0, dict[str, float]()
    for number, content in _fields(data):
        if number == 1 and isinstance(content, bytes):
            (time,) = struct.unpack("<d", content)
        elif number == 2 and isinstance(content, int):
            step = content - 2**64 if content >= 2**63 else content
        elif number == 5 and isinstance(content, bytes):
            values |= _scalars(content)
    return ScalarEvent(step, time, values)


def _scalars(data: bytes) -> dict[str, float]:
    """Return the scalars of a summary by their tags."""
    values = [_value(content) for number, content in _fields(data) if number == 1 and isinstance(content, bytes)]
    return {tag: scalar for tag, scalar in values if scalar is not None}


def _value(data: bytes) -> tuple[str, float | None]:
    """Return the tag and the scalar of a summary's value; the scalar is None if it is, for example, a picture."""
    tag, scalar = "", None
    for number, content in _fields(data):
        if not isinstance(content, bytes):
            continue
        if number == 1:
            tag = content.decode(errors="replace")
        elif number == 2:
            (scalar,) = struct.unpack("<f", content)
        elif number == 8:
            scalar = _tensor_scalar(content)
    return tag, scalar


TENSOR_TYPES = {1: "f", 2: "d", 3: "i", 9: "q", 19: "e"}
"""`struct` formats of TensorFlow's types DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64 and DT_HALF."""

FLOAT_VALUES, DOUBLE_VALUES, COUNTS = 5, 6, (7, 10)
"""Fields of a tensor that may hold a number if `tensor_content` does not."""


def _tensor_scalar(data: bytes) -> float | None:
    """Return the number in a tensor; None unless it has exactly one."""
    form, content, number = "", b"", None
    for field_number, value in _fields(data):
        if field_number == 1 and isinstance(value, int):
            form = TENSOR_TYPES.get(value, "")
        elif field_number == 4 and isinstance(value, bytes):
            content = value
        elif field_number == FLOAT_VALUES and isinstance(value, bytes) and len(value) == 4:
            (number,) = struct.unpack("<f", value)
        elif field_number == DOUBLE_VALUES and isinstance(value, bytes) and len(value) == 8:
            (number,) = struct.unpack("<d", value)
        elif field_number in COUNTS:
            number = float(value if isinstance(value, int) else _read_varint(value, 0)[0])
    if form and len(content) == struct.calcsize(f"<{form}"):
        (number,) = struct.unpack(f"<{form}", content)
    return None if number is None or not form else float(number)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number of each field of a message, and its value: an integer, or the bytes of anything else.

    Raises:
        ValueError, IndexError: the data is not a message.
    """
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        match key & 7:
            case 0:
                value, position = _read_varint(data, position)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, position = _read_varint(data, position)
            case 5:
                length = 4
            case other:
                raise ValueError(f"wire type {other}")
        if position + length > len(data):
            raise ValueError("a field is longer than its message")
        yield key >> 3, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("an integer is too long")


# Checksums


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


CRC_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C of some bytes, as TFRecords use it."""
    table, value = CRC_TABLE, 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
