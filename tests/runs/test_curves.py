"""Curves: smoothed, and the values of a resumed run."""

from __future__ import annotations

import math

import pytest

from alexplore.runs.curves import Curve, put_at_step


def test_smoothing_leaves_a_constant_alone_and_skips_what_is_not_finite() -> None:
    values = [3.0] * 100
    values[50] = math.inf
    smooth = Curve(list(map(float, range(100))), values).smoothed().values
    assert smooth[50] == math.inf
    assert [value for value in smooth if math.isfinite(value)] == pytest.approx([3.0] * 99)


def test_a_value_at_an_earlier_step_replaces_the_later_ones() -> None:
    values: dict[int, str] = {}
    for step, value in ((5, "a"), (10, "b"), (15, "c"), (10, "d"), (10, "e"), (12, "f")):
        put_at_step(values, step, value)
    assert values == {5: "a", 10: "e", 12: "f"}
    assert list(values) == [5, 10, 12]
