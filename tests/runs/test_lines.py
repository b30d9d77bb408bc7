"""Lines that survive crashes, and numbers that JSON has not."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.runs import lines
from alexplore.runs.lines import (
    BLOCK_BYTES,
    LineReader,
    LineWriter,
    last_sequence,
    parse_line,
    parse_lines,
    read_number,
    sample_blocks,
)


def test_a_line_is_one_json_object_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with LineWriter(path, attempt=3) as writer:
        writer.append(step=1, loss=0.5)
        writer.append(step=2, loss=0.25)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [0, 1]
    assert all(line["v"] == 1 and line["attempt"] == 3 and line["time"] > 1e9 for line in lines)
    assert lines[1]["loss"] == 0.25


def test_numbers_that_are_not_finite_are_strings_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with LineWriter(path, attempt=0) as writer:
        writer.append(a=math.nan, b=math.inf, c=-math.inf, nested=[{"d": math.nan}])
    content = path.read_text()
    assert '"a": "NaN", "b": "Infinity", "c": "-Infinity", "nested": [{"d": "NaN"}]' in content
    (record,) = LineReader(path).read()
    assert math.isnan(read_number(record["a"]) or 0)
    assert (read_number(record["b"]), read_number(record["c"])) == (math.inf, -math.inf)
    assert read_number("0.5") is None
    assert read_number(True) is None
    assert read_number(10**400) is None


def test_names_of_files_that_are_no_text_are_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    path = tmp_path / "events.jsonl"
    with LineWriter(path, attempt=0) as writer:
        writer.append(message=f"{name} is damaged")
    assert LineReader(path).read()[0]["message"] == f"{name} is damaged"


@pytest.mark.parametrize("torn", [b'{"v": 1, "seq": 2, "ste', b"\xff\xfe", b"{"])
def test_a_torn_last_line_is_cut_and_the_sequence_goes_on(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    with LineWriter(path, attempt=0) as writer:
        writer.append(step=1)
        writer.append(step=2)
    with path.open("ab") as file:
        file.write(torn)
    assert [record["step"] for record in LineReader(path).read()] == [1, 2]
    with LineWriter(path, attempt=1) as writer:
        writer.append(step=3)
    records = LineReader(path).read()
    assert [(record["step"], record["seq"], record["attempt"]) for record in records] == [
        (1, 0, 0),
        (2, 1, 0),
        (3, 2, 1),
    ]


def test_a_writer_that_waited_while_another_wrote_goes_on_after_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with LineWriter(path, attempt=0) as launcher:
        with LineWriter(path, attempt=0) as rank:
            rank.append(event="start")
            rank.append(event="end")
        with path.open("ab") as file:
            file.write(b'{"v": 1')
        launcher.append(event="error")
        launcher.append(event="end")
    assert [record["seq"] for record in LineReader(path).read()] == [0, 1, 2, 3]


def test_a_file_of_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"v":')
    with LineWriter(path, attempt=0) as writer:
        writer.append(step=1)
    assert [record["seq"] for record in LineReader(path).read()] == [0]


def test_a_reader_takes_only_whole_lines_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader = LineReader(path)
    assert reader.read() == []
    path.write_bytes(b'{"step": 1}\n{"step": 2')
    assert reader.read() == [{"step": 1}]
    assert reader.read() == []
    with path.open("ab") as file:
        file.write(b'}\nnot json\n[1]\n{"step": 3}\n')
    assert reader.read() == [{"step": 2}, {"step": 3}]


@pytest.mark.parametrize(
    "damaged",
    ['{"seq": "x"}', '{"v": null}', '{"seq": true}', '{"attempt": [1]}', '{"time": {}}', "[" * 100_000],
    ids=["seq", "v", "truth", "attempt", "time", "nested"],
)
def test_a_line_that_begins_with_values_of_other_types_is_passed_over(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f'{{"seq": 0}}\n{damaged}\n{{"seq": 2}}\n')
    assert LineReader(path).read() == [{"seq": 0}, {"seq": 2}]


def test_a_reader_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}}}\n' for step in range(1000)))
    reader = LineReader(path)
    first = reader.read(limit=500)
    assert 0 < len(first) < 50
    rest = []
    while block := reader.read(limit=500):
        rest += block
    assert [record["step"] for record in first + rest] == list(range(1000))


def test_all_is_read_however_long_it_is_and_damaged(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [f'{{"step": {step}}}' for step in range(10)]
    damaged = "x" * 1000
    path.write_text("\n".join([*lines, *[damaged] * 5000, *lines]) + "\n")  # more of it than a block
    reader = LineReader(path)
    assert [record["step"] for record in reader.read_all()] == [*range(10), *range(10)]
    assert list(reader.read_all()) == []


@pytest.mark.parametrize("length", [BLOCK_BYTES // 2, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7])
def test_a_line_longer_than_a_block_is_skipped_and_holds_up_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + b'{"step": 2, "x": "' + b"x" * length)
    reader = LineReader(path)
    assert list(reader.read_all()) == [{"step": 1}]
    with path.open("ab") as file:
        file.write(b'"}\n{"step": 3}\n')
    read = [record["step"] for record in reader.read_all()]
    assert read == ([2, 3] if length < BLOCK_BYTES else [3])
    assert list(reader.read_all()) == []


def test_no_read_takes_more_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"x" * (3 * BLOCK_BYTES) + b'\n{"step": 1}\n')
    reader = LineReader(path)
    assert [reader.read() for _ in range(4)] == [[], [], [], [{"step": 1}]]


@pytest.mark.parametrize("tail", [*range(40), 1000])
def test_the_end_of_a_file_is_read_from_the_first_whole_line_in_it(tmp_path: Path, tail: int) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [f'{{"step": {step}}}\n' for step in range(3)]  # 12 bytes each
    path.write_text("".join(lines))
    reader = LineReader(path, tail=tail)
    assert [record["step"] for record in reader.read_all()] == [0, 1, 2][3 - min(3, tail // 12) :]
    assert reader.from_beginning == (tail >= 36)


def test_the_last_sequence_number_is_that_of_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert last_sequence(path) == -1
    with LineWriter(path, attempt=0) as writer:
        for _ in range(5):
            writer.append(event="warning", message="x" * 50_000)
    assert last_sequence(path) == 4


def test_a_file_that_goes_away_before_it_is_read_has_no_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}}}\n' for step in range(100)))
    reader = LineReader(path)
    stat = Path.stat

    def stat_and_delete(self: Path, **options: bool) -> os.stat_result:
        found = stat(self, **options)
        path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", stat_and_delete)
    assert reader.read() == []


def test_what_a_full_disk_cuts_short_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    writer = LineWriter(path, attempt=0)
    writer.append(step=1)
    whole = os.write

    def short(descriptor: int, data: bytes) -> int:
        return whole(descriptor, data[:10])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space left"):
        writer.append(step=2)
    monkeypatch.undo()
    writer.append(step=3)
    assert [(record["step"], record["seq"]) for record in LineReader(path).read()] == [(1, 0), (3, 1)]


LINES = [
    b'{"v": 1, "seq": 0, "attempt": 0, "time": 1.0, "step": 1}', b'{"step": 2, "a": "NaN"}', b'{"step": 3}  ', b"{}",
    b'{"a": "{ and ["}', b'{"a": [1, {"b": 2}]}', b'{"a": 1, "b": {"c": 2}}', '{"a": "caf\u00e9"}'.encode(),
    b"", b"   ", b"null", b"[", b"]", b"{", b"}", b'{"a": 1', b'"b": 2}', b'{"a": 1}, {"b": 2}', b'{"a": 1}, 5',
    b'{"a": [1}', b'{"a": "\xff"}', b'{"seq": -1}', b'{"time": NaN}', b'{"time": Infinity}', b'{"seq": true}',
    b'{"v": 99999999999}', b'{"attempt": 1e3}', b'{"a": ' + b"9" * 400 + b"}", b'{"a": "' + b"[" * 70 + b'"}',
    b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", b"\t{}", b'{"a": 1}\r',
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=6))
def test_lines_parsed_together_are_those_that_are_parsed_one_by_one(given_lines: list[bytes]) -> None:
    alone = [record for line in given_lines if (record := parse_line(line)) is not None]
    assert repr(parse_lines(given_lines)) == repr(alone)  # NaN is not equal to itself


def test_blocks_are_small_and_have_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SMALL_BLOCK_BYTES", 100)
    path = tmp_path / "metrics.jsonl"
    written = [{"step": step, "text": "x" * (1000 if step == 7 else 5)} for step in range(20)]
    path.write_text("".join(json.dumps(record) + "\n" for record in written))
    blocks = list(LineReader(path).read_blocks())
    assert [record for block in blocks for record in block] == written
    assert [len(block) for block in blocks[:2]] == [3, 3]
    assert len(blocks) == 4  # two small ones, the one that has the long line and all behind it, …


def test_a_sample_has_whole_lines_from_all_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}}}\n' for step in range(10_000)))
    steps = [record["step"] for block in sample_blocks(path, pieces=10, size=200) for record in block]
    assert steps == sorted(set(steps))
    assert 50 <= len(steps) <= 200
    assert steps[0] < 20
    assert steps[-1] > 9980
    assert all(any(abs(step - wanted) < 700 for step in steps) for wanted in range(0, 10_000, 500))
    assert list(sample_blocks(tmp_path / "none.jsonl", 10, 200)) == []
