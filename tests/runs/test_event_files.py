"""Event files: checksums of the standard, what TensorBoard reads of ours, what we read of TensorBoard's."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.runs.event_files import (
    EventFileError,
    ScalarEvent,
    event_file_start,
    event_record,
    masked_crc,
    read_events,
)

EVENTS = [ScalarEvent(0, 1.5, {"loss": 2.5, "acc": 0.25}), ScalarEvent(2**40, 1e9, {"loss": -0.125})]
FILE = event_file_start(1.0) + b"".join(map(event_record, EVENTS))


def unmasked(masked: int) -> int:
    """Undo TensorFlow's mask (record_reader.h)."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"123456789", 0xE3069283)],
)
def test_checksums_are_those_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert unmasked(masked_crc(data)) == checksum


def test_what_is_written_is_read_back() -> None:
    assert list(read_events(io.BytesIO(FILE))) == EVENTS


def test_numbers_that_are_not_finite_or_too_large_are_kept_as_single_precision_can() -> None:
    values = {"a": math.nan, "b": math.inf, "c": -1e300, "d": 1 / 3}
    (event,) = read_events(io.BytesIO(event_record(ScalarEvent(1, 0.0, values))))
    assert math.isnan(event.values["a"])
    assert (event.values["b"], event.values["c"]) == (math.inf, -math.inf)
    assert event.values["d"] == struct.unpack("<f", struct.pack("<f", 1 / 3))[0]


@pytest.mark.parametrize("length", range(len(FILE) - len(event_record(EVENTS[1])), len(FILE)))
def test_a_record_that_is_not_whole_yet_is_read_later(length: int) -> None:
    file = io.BytesIO(FILE[:length])
    assert list(read_events(file)) == EVENTS[:1]
    rest = io.BytesIO(FILE)
    rest.seek(file.tell())
    assert list(read_events(rest)) == EVENTS[1:]


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(place: int, change: int) -> None:
    damaged = bytearray(FILE)
    damaged[place] ^= change
    with pytest.raises(EventFileError, match=r"byte \d+"):
        list(read_events(io.BytesIO(damaged)))


@given(st.binary(max_size=60))
def test_a_whole_record_of_anything_is_an_event_or_refused(data: bytes) -> None:
    head = struct.pack("<Q", len(data))
    record = head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))
    try:
        list(read_events(io.BytesIO(record)))
    except EventFileError as error:
        assert "is no event" in str(error)


def test_tensorboard_reads_what_is_written(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (tmp_path / "events.out.tfevents.1.alexplore").write_bytes(FILE)
    accumulator = accumulators.EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert accumulator.Tags()["scalars"] == ["loss", "acc"]
    found = [(event.step, event.wall_time, event.value) for event in accumulator.Scalars("loss")]
    assert found == [(0, 1.5, 2.5), (2**40, 1e9, -0.125)]


def test_what_tensorboard_writes_is_read(tmp_path: Path) -> None:
    """As `torch.utils.tensorboard` writes scalars, and as TensorFlow 2 does, in tensors, beside other things."""
    writers = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    writer = writers.EventFileWriter(str(tmp_path))
    values = [Summary.Value(tag="loss", simple_value=0.5), Summary.Value(tag="text", tensor=TensorProto(dtype=7))]
    for kind, number in (("float_val", 1), ("double_val", 2), ("int_val", 3), ("int64_val", 9)):
        values.append(Summary.Value(tag=kind, tensor=TensorProto(dtype=number, **{kind: [7]})))
    content = TensorProto(dtype=1, tensor_content=struct.pack("<f", 1.25))
    values.append(Summary.Value(tag="content", tensor=content))
    values.append(Summary.Value(tag="vector", tensor=TensorProto(dtype=1, float_val=[1, 2])))
    writer.add_event(Event(wall_time=3.0, step=-1, summary=Summary(value=values)))
    writer.close()
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        (event,) = read_events(file)
    numbers = {"float_val": 7.0, "double_val": 7.0, "int_val": 7.0, "int64_val": 7.0}
    assert event == ScalarEvent(-1, 3.0, {"loss": 0.5, **numbers, "content": 1.25})
