"""Curves: smoothed, and the values of a resumed run."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alexplore.runs.curves import Curve, CurveBuilder, put_at_step


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


MOST = 16


def built(steps: Sequence[int], values: Sequence[float], size: int = 10, most: int = MOST) -> Curve:
    """Return the curve of values that come a few at a time: a step is a quarter of an epoch, and two minutes."""
    builder = CurveBuilder(most)
    for start in range(0, len(steps), size):
        part = steps[start : start + size]
        epochs, minutes = [step / 4 for step in part], [2.0 * step for step in part]
        builder.extend(part, epochs, values[start : start + size], minutes)
    curve = builder.curve()
    return Curve(*map(tuple, (curve.epochs, curve.values, curve.minutes, curve.means)))


def test_a_short_curve_has_every_point() -> None:
    steps, values = list(range(1, MOST)), [math.nan, 1.0, math.inf, *(1 / n for n in range(1, MOST - 3))]
    curve = built(steps, values, size=4)
    assert curve.epochs == tuple(step / 4 for step in steps)
    assert curve.minutes == tuple(2.0 * step for step in steps)
    assert repr(curve.values) == repr(curve.means) == repr(tuple(values))


@pytest.mark.parametrize("count", [50, 1000, 12_345])
def test_a_long_curve_is_bounded_and_keeps_extremes_and_ends(count: int) -> None:
    draw = random.Random(count)
    steps, values = list(range(1, count + 1)), [draw.random() for _ in range(count)]
    curve = built(steps, values, size=97)
    assert MOST // 2 <= len(curve.values) <= MOST + 3
    assert (min(curve.values), max(curve.values)) == (min(values), max(values))
    assert (curve.epochs[-1], curve.values[-1]) == (count / 4, values[-1])
    assert list(curve.epochs) == sorted(curve.epochs)
    for epoch, value, minutes in zip(curve.epochs, curve.values, curve.minutes, strict=True):
        step = round(4 * epoch)
        assert (value, minutes) == (values[step - 1], 2.0 * step)  # each point was measured
    assert curve.means[0] == pytest.approx(0.5, abs=0.4)


def test_a_thinned_curve_leaves_out_what_is_not_finite() -> None:
    values = [math.nan if step % 3 else math.inf if step % 2 else float(step) for step in range(600)]
    curve = built(range(600), values)
    finite = [value for value in curve.values[:-1] if math.isfinite(value)]
    assert (min(finite), max(finite)) == (0.0, 594.0)
    assert built(range(600), [math.nan] * 600).values[-1] != 0


def test_smoothing_goes_by_the_means_of_what_the_points_stand_for() -> None:
    values = [0.0, 0.0, 0.0, 4.0] * 500  # the mean of the lowest and the highest is 2
    curve = built(range(2000), values, most=300)
    assert len(curve.values) < 310
    assert curve.smoothed().values[-100:] == pytest.approx([1.0] * 100, abs=0.2)


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(1, 20))
def test_a_builder_keeps_what_putting_each_value_at_its_step_keeps(steps: list[int], size: int) -> None:
    kept: dict[int, float] = {}
    for index, step in enumerate(steps):
        put_at_step(kept, step, float(index))
    builder = CurveBuilder(most=100)
    for start in range(0, len(steps), size):
        part = steps[start : start + size]
        places = [float(step) for step in part]
        builder.extend(part, places, [float(index) for index in range(start, start + len(part))], places)
    curve = builder.curve()
    assert dict(zip(curve.epochs, curve.values, strict=True)) == kept


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 500)), min_size=1, max_size=6))
@example([(0, 300), (0, 1), (1, 63)])
def test_a_thinned_curve_of_a_resumed_run_has_nothing_of_what_was_replaced(attempts: list[tuple[int, int]]) -> None:
    steps, values, kept = list[int](), list[float](), dict[int, float]()
    for number, (first, count) in enumerate(attempts):
        for step in range(first, first + count):
            steps.append(step)
            values.append(number + 1 / (step + 2))
            put_at_step(kept, step, values[-1])
    curve = built(steps, values, size=50)
    assert len(curve.values) <= MOST + 3
    for epoch, value in zip(curve.epochs, curve.values, strict=True):
        assert kept[round(4 * epoch)] == value
    assert curve.values[-1] == values[-1]
