"""What a plot shows of its lines, as rows of characters."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.core.formatting import cut_middle
from alexplore.tui.plot import BEST, Drawing, Line, Plot, View, spread

WORSE = Line("worse", [1, 2], [0.8740, 0.8917], "series-1", "▲")
BETTER = Line("better", [1, 2, 3], [0.8589, 0.8846, 0.8947], "series-2", "●")
OVERLAY = Plot([WORSE, BETTER], 3, percent=True, number="{:.1%}".format)
STEPS = [step / 1000 for step in range(1, 3001)]


def text(plot: Plot, view: View | None = None, width: int = 80, height: int = 20) -> list[str]:
    """Return the rows of a drawing."""
    return ["".join(cell[0] for cell in row) for row in Drawing(plot, view or View(), width, height).rows]


def curves(plot: Plot, view: View | None = None, width: int = 80, height: int = 20) -> list[str]:
    """Return the part of the rows that the curves have, without scale and names."""
    drawing = Drawing(plot, view or View(), width, height)
    rows = text(plot, view, width, height)[: drawing.down]
    return [row[drawing.left : drawing.left + drawing.across] for row in rows]


def markers(rows: list[str], marker: str) -> list[tuple[int, int]]:
    return [(row, column) for row, line in enumerate(rows) for column, cell in enumerate(line) if cell == marker]


@pytest.mark.parametrize("size", [(40, 10), (80, 20), (196, 50)])
def test_every_point_is_visible_the_highest_highest(size: tuple[int, int]) -> None:
    rows = curves(OVERLAY, None, *size)
    worse, better = markers(rows, "▲"), markers(rows, "●")
    assert (len(worse), len(better)) == (2, 3)
    assert better[0][0] == 0
    assert better[-1][0] == len(rows) - 1
    assert all(len(row) == size[0] for row in text(OVERLAY, None, *size))


def test_a_line_ends_with_its_marker_last_value_and_name() -> None:
    rows = text(OVERLAY)
    assert "● 89.5% better" in rows[0]
    row = next(index for index, row in enumerate(rows) if "▲ 89.2% worse" in row)
    assert "▲" in rows[row][:60]
    assert not any("worse" in row for row in text(OVERLAY, width=24))


def test_a_run_without_values_is_named_with_the_reason() -> None:
    waiting = Line("waiting", [], [], "series-3", "■", note="no epoch yet")
    assert any("■ waiting · no epoch yet" in row for row in text(replace(OVERLAY, lines=[WORSE, waiting])))
    assert any("no values yet" in row for row in text(Plot([waiting])))


def test_the_best_point_is_marked_and_named_unless_it_is_the_last() -> None:
    line = Line("validation", [1, 2, 3], [0.859, 0.8947, 0.885], "series-1", "●", joined=False, best=True)
    plot = Plot([line], 3, percent=True, number="{:.1%}".format)
    assert markers(curves(plot), BEST) == [(0, markers(curves(plot), BEST)[0][1])]
    assert any(f"{BEST} 89.5% best" in row for row in text(plot))
    last = Plot([replace(line, y=[0.85, 0.86, 0.87])], 3)
    assert not any("best" in row for row in text(last))


def test_the_place_of_the_training_is_marked_in_the_lowest_row_without_a_curve() -> None:
    rising = Line("", [0, 1, 2], [0, 1, 2], "series-1")
    rows = text(Plot([rising], end=4, now=2))
    assert [row.count("now") for row in rows].index(1) == 17  # of 20: below it are the axis and its labels
    assert rows[17].index("┊ now") == rows[18].index("┬", 40)  # the tick of 2 is the middle one
    level = Line("", [0, 4], [0, 0], "tick")
    above = text(Plot([rising, level], end=4, now=2))
    assert [row.count("┊ now") for row in above].index(1) == 16
    for place in (None, 4.0, 5.0):
        assert not any("┊" in row for row in text(Plot([rising], end=4, now=place)))


def test_where_the_name_does_not_fit_only_the_mark_is_drawn() -> None:
    rising = Line("", [0, 1], [0, 1], "series-1")
    rows = text(Plot([rising], end=1.05, now=1), width=40)
    assert "┊" in rows[17]
    assert "now" not in rows[17]


def test_names_do_not_hide_each_other() -> None:
    lines = [Line(f"run {number}", [1], [0.5], "series-1", "●") for number in range(30)]
    rows = text(Plot(lines), height=12)
    named = [row for row in rows if "run " in row]
    assert len(named) == 9  # of the ten rows of the curves
    assert any("+21 more" in row for row in rows)


def test_spread() -> None:
    assert spread([0, 0, 5, 5], 6) == [0, 1, 4, 5]
    assert spread([2, 2, 2], 10) == [2, 3, 4]
    assert spread([9, 9], 10) == [8, 9]


def test_a_long_name_loses_its_middle() -> None:
    assert cut_middle("fmnist-28-20261126-184340-624ca1", 12) == "fmni…-624ca1"
    assert cut_middle("short", 5) == "short"


@pytest.mark.parametrize("logarithmic", [False, True])
def test_single_peaks_among_very_many_points_are_drawn(logarithmic: bool) -> None:
    values = [0.5] * 3000
    values[1234], values[2345] = 0.9, 0.1
    rows = curves(Plot([Line("", STEPS, values, "series-1")], 3), View(logarithmic=logarithmic))
    top = [column for column, cell in enumerate(rows[0]) if cell != " "]
    bottom = [column for column, cell in enumerate(rows[-1]) if cell != " "]
    assert top[0] == pytest.approx(1.235 / 3 * len(rows[0]), abs=1)
    assert bottom[0] == pytest.approx(2.346 / 3 * len(rows[0]), abs=1)


def test_the_band_is_drawn_between_its_ends() -> None:
    line = Line("mean", [1, 2], [0.5, 0.5], "series-1", band=[(0.2, 0.9), (0.2, 0.9)])
    drawing = Drawing(Plot([line], 2), View(), 60, 12)
    banded = [any(cell[1] == "band" for cell in row) for row in drawing.rows[: drawing.down]]
    assert banded.count(True) >= len(banded) - 1  # the line itself has one
    assert all(cell[1] != "band" for row in drawing.rows for cell in row[: drawing.left + drawing.across // 2 - 1])


@given(
    st.lists(st.tuples(st.floats(), st.floats()), max_size=30),
    st.booleans(),
    st.tuples(st.integers(0, 90), st.integers(0, 25)),
    st.lists(st.sampled_from(["in", "out", "left", "right"]), max_size=8),
)
def test_any_points_can_be_drawn_zoomed_and_read(
    points: list[tuple[float, float]], logarithmic: bool, size: tuple[int, int], keys: list[str]
) -> None:
    line = Line("name", [x for x, _ in points], [y for _, y in points], "series-1", "●", best=True)
    plot, view = Plot([line, replace(line, marker="", band=[(y, y) for _, y in points])]), View(logarithmic=logarithmic)
    for key in ["", *keys]:
        drawing = Drawing(plot, view, *size)
        assert all(len(row) == size[0] for row in drawing.rows)
        assert len(drawing.rows) in (size[1] if size[0] else 0, 0)
        assert not {"inf", "nan"} & set(drawing.readings(80).split())
        match key:
            case "in" | "out":
                view = view.zoomed(plot, 0.5 if key == "in" else 2)
            case "left" | "right":
                view = view.with_cursor(plot, drawing.step(view.x, 1 if key == "right" else -1))


def test_values_that_are_not_numbers_are_left_out() -> None:
    line = Line("", [1, 2, 3, math.nan], [0.5, math.nan, math.inf, 0.7], "series-1", "●")
    assert len(markers(curves(Plot([line], 3)), "●")) == 1
    below = Line("", [1, 2], [-0.5, 0.5], "series-1", "●")
    assert len(markers(curves(Plot([below], 3), View(logarithmic=True)), "●")) == 1


# The part that is shown


def test_zooming_keeps_the_cursor_in_place_and_ends_with_the_whole() -> None:
    view = View(x=2.0).zoomed(OVERLAY, 0.5)
    assert view.window(OVERLAY) == pytest.approx((1.0, 2.5))
    assert view.zoomed(OVERLAY, 0.5).window(OVERLAY) == pytest.approx((1.5, 2.25))
    assert view.zoomed(OVERLAY, 2).part is None
    for _ in range(100):
        view = view.zoomed(OVERLAY, 0.5)
    assert view.window(OVERLAY)[1] - view.window(OVERLAY)[0] == pytest.approx(3e-4)


def test_a_part_at_the_end_stays_inside_the_run() -> None:
    view = View().zoomed(OVERLAY, 0.5, 3.0).zoomed(OVERLAY, 1.5, 1.5)
    assert view.window(OVERLAY)[1] <= 3.0


def test_a_part_without_points_shows_the_line_that_crosses_it() -> None:
    view = View((1.2, 1.4))
    rows = curves(OVERLAY, view)
    assert any(cell not in " ●▲" for row in rows for cell in row)
    assert not markers(rows, "●")


def test_the_cursor_goes_from_point_to_point_and_takes_the_part_along() -> None:
    view = View()
    places = []
    for step in (-1, -1, -1, -1, 1):
        view = view.with_cursor(OVERLAY, Drawing(OVERLAY, view, 80, 20).step(view.x, step))
        places.append(view.x)
    assert places == [3, 2, 1, 1, 2]
    part = View((1.9, 2.1), x=2.0)
    moved = part.with_cursor(OVERLAY, Drawing(OVERLAY, part, 80, 20).step(part.x, 1))
    assert moved.x == 3
    assert moved.part is not None
    assert moved.part[0] <= 3 <= moved.part[1]
    assert moved.part[1] - moved.part[0] == pytest.approx(0.2)


def test_the_cursor_stops_once_in_each_column_of_very_many_points() -> None:
    plot = Plot([Line("", STEPS, STEPS, "series-1")], 3)
    drawing = Drawing(plot, View(), 80, 20)
    x: float | None = 3.0
    columns = []
    while True:
        columns.append(drawing.column(x or 0))
        following = drawing.step(x, -1)
        if following == x:
            break
        x = following
    assert len(columns) == len(set(columns)) == drawing.across


def test_levels_are_not_read_and_the_unit_goes_before_a_value_is_cut() -> None:
    chance = Line("chance", (0.0, 3.0), (0.1, 0.1), "tick")
    plot = replace(OVERLAY, lines=[chance, *OVERLAY.lines])
    assert Drawing(plot, View(x=2.0), 80, 20).readings(80) == "epoch 2 · worse 89.2% · better 88.5%"
    assert Drawing(plot, View(x=2.0), 80, 20).readings(22) == "2 · ▲ 89.2% · ● 88.5%"


def test_readings_are_the_last_values_up_to_the_cursor() -> None:
    drawing = Drawing(OVERLAY, View(x=2.0), 80, 20)
    assert drawing.readings(80) == "epoch 2 · worse 89.2% · better 88.5%"
    assert drawing.readings(30) == "epoch 2 · ▲ 89.2% · ● 88.5%"
    assert Drawing(OVERLAY, View(x=3.0), 80, 20).readings(80) == "epoch 3 · worse 89.2% at 2 · better 89.5%"
    assert Drawing(OVERLAY, View(x=0.5), 80, 20).readings(80) == "epoch 0.5"
    third = Line("third", [1, 2], [0.4, 0.5], "series-3", "■")
    three = Drawing(replace(OVERLAY, lines=[WORSE, BETTER, third]), View(x=2.0), 80, 20)
    assert three.readings(40) == "epoch 2 · ▲ 89.2% · ● 88.5% · ■ 50.0%"
    assert three.readings(34) == "2 · ▲ 89.2% · ● 88.5% · ■ 50.0%"
    assert three.readings(30) == "2 · ▲ 89.2% · +2 more"


def test_huge_values_are_read_in_few_characters() -> None:
    plot = Plot([Line("a", [1], [1e308], "series-1")], percent=True, number="{:.1%}".format)
    assert Drawing(plot, View(x=1.0), 80, 20).readings(80) == "epoch 1 · a 1e+308"
    assert all(len(row) == 80 for row in text(plot))
