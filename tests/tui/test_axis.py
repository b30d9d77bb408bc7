"""The axis of a plot."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.tui.axis import Axis, fitted_axis

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def test_round_ticks() -> None:
    axis = Axis(0.874, 0.8947, percent=True)
    assert axis.labels(axis.ticks(5)) == ["87.5%", "88.0%", "88.5%", "89.0%"]
    axis = Axis(0, 90)
    assert axis.labels(axis.ticks(10)) == ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"]
    axis = Axis(0, 1_160_000)
    assert axis.labels(axis.ticks(3)) == ["0", "5.0e+05", "1.0e+06"]


def test_logarithmic_ticks_are_1_2_and_5_of_each_decade_where_there_is_room() -> None:
    axis = fitted_axis([0.15, 3.0], logarithmic=True)
    assert axis.ticks(8) == [0.2, 0.5, 1.0, 2.0]
    axis = fitted_axis([1e-5, 3.0], logarithmic=True)
    assert axis.ticks(7) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    assert axis.share(math.sqrt(3e-5)) == pytest.approx(0.5)
    assert axis.value(0.5) == pytest.approx(math.sqrt(3e-5))


def test_one_value_is_in_the_middle_of_an_axis_with_different_ticks() -> None:
    axis = fitted_axis([0.8589, 0.8589], percent=True)
    assert (axis.low, axis.high) == pytest.approx((0.8489, 0.8689))
    assert axis.share(0.8589) == pytest.approx(0.5)
    labels = axis.labels(axis.ticks(4))
    assert len(labels) >= 2
    assert len(set(labels)) == len(labels)


@given(st.lists(FINITE, min_size=1, max_size=5), st.booleans(), st.booleans(), st.integers(2, 20))
def test_every_finite_value_is_on_the_axis(values: list[float], logarithmic: bool, percent: bool, most: int) -> None:
    if logarithmic:
        values = [abs(value) or 1.0 for value in values]
    axis = fitted_axis(values, logarithmic=logarithmic, percent=percent)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    ticks = axis.ticks(most)
    labels = axis.labels(ticks)
    assert 2 <= len(ticks) <= most + 3
    assert ticks == sorted(ticks)
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in ticks)
    assert all(0 < len(label) < 26 for label in labels)
    assert not {"inf", "nan"} & set(labels)
