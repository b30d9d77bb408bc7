"""Lines of metrics as columns: the same lines and values as one line after the other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alexplore.runs.metrics_block import MetricsBlock, read_block
from alexplore.runs.protocol import read_metrics
from alexplore.runs.reader import MetricValues

NUMBERS = st.sampled_from([0, 1, 2, 3, 1.5, -1.0, "NaN", "Infinity", "x", None, True, math.nan, 10**400, 2**63])
RECORDS = st.dictionaries(st.sampled_from(["step", "epoch", "v", "train/loss", "val/acc", "later"]), NUMBERS).map(
    lambda record: {key: value for key, value in record.items() if key != "v" or type(value) is int}
)


@given(st.lists(RECORDS, max_size=8))
def test_a_block_has_the_lines_and_numbers_that_are_read_one_by_one(records: list[dict[str, Any]]) -> None:
    block = read_block(records)
    alone = [line for record in records if (line := read_metrics(record))]
    assert repr(list(block.lines())) == repr(alone)
    assert list(block.steps) == [line.step for line in alone]
    assert list(block.epochs) == [line.epoch for line in alone]
    for key in ("train/loss", "later"):
        at, values = block.column(key)
        expected = [(index, line.values[key]) for index, line in enumerate(alone) if key in line.values]
        assert repr(list(zip(at, values, strict=True))) == repr(expected)


def last_values(lines: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Return the last value of each metric, those of steps after the one that a run is resumed from left out."""
    last: dict[str, tuple[int, float]] = {}
    for step, values in lines:
        last = {key: entry for key, entry in last.items() if entry[0] <= step}
        last |= {key: (step, value) for key, value in values.items()}
    return {key: value for key, (_, value) in last.items()}


STEPS_AND_VALUES = st.tuples(
    st.integers(0, 9), st.dictionaries(st.sampled_from(["train/loss", "val/acc", "lr"]), st.floats(0, 1))
)


@example([(2, {"lr": 0.1}), (3, {"train/loss": 1.0}), (2, {}), (3, {})], 2)  # resumed where a block begins
@given(st.lists(STEPS_AND_VALUES, max_size=20), st.integers(1, 20))
def test_last_values_are_the_same_in_blocks_of_any_size(lines: list[tuple[int, dict[str, float]]], size: int) -> None:
    records = [{"step": step, "epoch": step / 4, **values} for step, values in lines]
    values = MetricValues()
    values.add_block(read_block([]))
    for start in range(0, len(records), size):
        values.add_block(read_block(records[start : start + size]))
    assert values.latest() == last_values(lines)


def test_the_pace_is_that_of_the_lines_since_the_run_was_resumed() -> None:
    values = MetricValues()
    before = [{"step": step, "epoch": float(step), "time": float(step)} for step in range(5)]
    resumed = [{"step": 2 + step, "epoch": 2.0 + step, "time": 100.0 + 4 * step} for step in range(3)]
    values.add_block(MetricsBlock([*before, *resumed]))
    assert values.epochs_per_second == pytest.approx(0.25)
