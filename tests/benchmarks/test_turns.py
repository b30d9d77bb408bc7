"""Turns that were disturbed are discarded, with the reason; ratios are of tasks of the same turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import results
import torch
import turns
from turns import Figure, Turn, Turns, take_turns


def turn(ours: float, theirs: float, peak: float = 100.0, others: float = 0.0) -> Turn:
    return Turn({"ours": ours, "theirs": theirs}, peak, others)


TAKEN = (turn(1, 2), turn(2, 6), turn(1, 9, peak=80), turn(1, 50, others=0.3), turn(4, 16, peak=95, others=0.01))


def test_ratios_and_their_spread_are_of_the_turns_that_count() -> None:
    found = Turns(TAKEN, reads_wall_clock=True)
    assert found.ratio("theirs", "ours") == Figure(3, 2, 4)
    assert found.seconds("ours") == Figure(2, 1, 4)
    share = found.share_of_peak("theirs", 100)
    assert [share.median, share.low, share.high] == pytest.approx([1 / 6, 100 / 16 / 95, 0.5])
    assert found.note() == "3 of 5 turns count (1 discarded: other work ran; 1 discarded: the peak fell)"
    discarded = [one["discarded"] for one in found.to_dict()["turns"]]
    assert discarded == [None, None, "the peak fell", "other work ran", None]


def test_other_work_does_not_matter_to_the_time_of_the_processor() -> None:
    assert Turns(TAKEN, reads_wall_clock=False).ratio("theirs", "ours") == Figure(3.5, 2, 50)


def test_without_a_turn_that_counts_it_is_said() -> None:
    found = Turns((turn(1, 2, others=1), turn(1, 4, others=1)), reads_wall_clock=True)
    assert found.ratio("theirs", "ours") == Figure(3, 2, 4)
    assert found.note().endswith("(2 discarded: other work ran): NOT TO BE TRUSTED, these are all turns")


def test_turns_alternate_and_are_repeated_until_enough_count(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([100.0] * 4 + [50.0, 100.0] + [100.0] * 20)
    monkeypatch.setattr(turns, "peak", lambda precision, wall_clock: next(peaks))
    monkeypatch.setattr(turns._BusyShare, "others", lambda self: 0.0)
    done: list[str] = []
    found = take_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, "fp32", 2)
    assert "".join(done) == "ba" + "ab" + "ba" + "ab"  # the first does not count, the third was disturbed
    assert [len(found.all), len(found.kept)] == [3, 2]


def test_it_gives_up_after_some_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "peak", lambda precision, wall_clock: 1.0)
    monkeypatch.setattr(turns._BusyShare, "others", lambda self: 1.0)
    found = take_turns({"a": lambda: torch.zeros(1)}, "fp32", 2)
    assert [len(found.all), len(found.kept)] == [2 * turns.MOST_TURNS, 0]


def test_results_are_printed_and_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(results.VARIABLE, str(tmp_path / "results.jsonl"))
    results.report("ours over theirs", Figure(2, 1.5, 2.5), goal="2", turns=Turns(TAKEN, reads_wall_clock=True))
    (line,) = (tmp_path / "results.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert found["figure"] == {"median": 2, "low": 1.5, "high": 2.5}
    assert len(found["details"]["turns"]) == 5
    assert capsys.readouterr().out.startswith("ours over theirs: 2.00 (1.50 to 2.50) times, goal 2; 3 of 5 turns count")
