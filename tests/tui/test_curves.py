"""Curves: every point is visible, whatever the values."""

from __future__ import annotations

import random
from math import inf, nan

import pytest
from textual.app import App, ComposeResult

from alexplore.runs.curves import Curve
from alexplore.tui.widgets.curves import Curves, Line, Plot, padded_limits
from tests.support.screens import screen_text

FINISHED = Curve([1, 2], [0.8740, 0.8917]), Curve([1, 2, 3], [0.8589, 0.8846, 0.8947])


class CurvesApp(App[None]):
    """A plot and nothing else."""

    def compose(self) -> ComposeResult:
        """The plot."""
        yield Curves()

    def draw(self, *lines: Line, epochs: float = 3.0, logarithmic: bool = False) -> None:
        """Draw lines."""
        self.query_one(Curves).draw(Plot(lines, epochs, logarithmic=logarithmic, rising=True))


def marker_rows(app: App[None], marker: str) -> list[int]:
    """The lines of the screen that hold a marker, one for each time."""
    return [row for row, line in enumerate(screen_text(app).splitlines()) for _ in range(line.count(marker))]


@pytest.mark.parametrize("size", [(40, 10), (80, 20), (120, 30)])
async def test_the_highest_and_the_lowest_point_of_all_are_visible(size: tuple[int, int]) -> None:
    async with CurvesApp().run_test(size=size) as pilot:
        app = pilot.app
        assert isinstance(app, CurvesApp)
        app.draw(*(Line(None, curve, "red", marker) for curve, marker in zip(FINISHED, "●▲", strict=True)))
        await pilot.pause()
        first, second = marker_rows(app, "●"), marker_rows(app, "▲")
        assert (len(first), len(second)) == (2, 3)
        assert min(second) <= min(first)  # 0.8947 and 0.8917, which may share a line
        assert max(second) > max(first)


@pytest.mark.parametrize("logarithmic", [False, True])
async def test_a_single_point_is_visible_and_its_ticks_differ(logarithmic: bool) -> None:
    async with CurvesApp().run_test(size=(80, 20)) as pilot:
        app = pilot.app
        assert isinstance(app, CurvesApp)
        app.draw(Line(None, Curve([1], [0.8589]), "red", "●"), epochs=1.0, logarithmic=logarithmic)
        await pilot.pause()
        assert len(marker_rows(app, "●")) == 1
        ticks = [line.split()[0] for line in screen_text(app).splitlines()[1:-2] if line[1:7].strip()]
        numbers = [tick.strip("│┤├┼┌└╭╰─┐┘") for tick in ticks]
        numbers = [number for number in numbers if number]
        assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("legend", [False, True])
async def test_lines_are_named_in_the_legend_if_there_is_one(legend: bool) -> None:
    async with CurvesApp().run_test(size=(80, 20)) as pilot:
        lines = [Line("alpha", FINISHED[0], "red", "●"), Line("beta", Curve(), "blue", "▲")]
        pilot.app.query_one(Curves).draw(Plot(lines, legend=legend))
        await pilot.pause()
        assert ("alpha" in screen_text(pilot.app)) == legend
        assert "beta" not in screen_text(pilot.app)


def test_limits_leave_room_above_and_below() -> None:
    assert padded_limits([]) == (None, None)
    assert padded_limits([0.0, 0.5, 1.0]) == pytest.approx((-0.04, 1.04))
    assert padded_limits([0.5, 0.5]) == pytest.approx((0.49, 0.51))


async def test_a_wider_plot_has_more_points() -> None:
    """Also one that was drawn before it had a size."""
    values = [0.5 + (step % 7) / 14 for step in range(1000)]
    curve = Curve([step / 500 for step in range(1000)], values)
    async with CurvesApp().run_test(size=(40, 20)) as pilot:
        app = pilot.app
        assert isinstance(app, CurvesApp)
        app.query_one(Curves).display = False
        app.draw(Line("train", curve, "red"), epochs=2.0)
        app.query_one(Curves).display = True
        await pilot.pause()
        narrow = drawn_points(app)
        await pilot.resize_terminal(160, 20)
        await pilot.pause()
        assert drawn_points(app) > narrow


def drawn_points(app: CurvesApp) -> int:
    return sum(len(dataset.x) for dataset in app.query_one(Curves)._datasets)


EXTREME = [0.0, -0.0, 1.0, 1.0 + 2**-52, 0.25, 1e-9, 5e-324, 1e-300, 1e16, 1e100, 1e308, -1e308, nan, inf, -inf]


async def test_any_values_are_drawn() -> None:
    """Also flat ones, of which the axis has a height, and those near the largest number there is."""
    generator = random.Random(11)
    curves = [[value] * 3 for value in EXTREME]
    curves += [[value, value * (1 + 2**-52), value] for value in (0.3, 1e-9, 1e16, 1e308)]
    curves += [generator.choices(EXTREME, k=generator.choice([2, 3, 300])) for _ in range(12)]
    async with CurvesApp().run_test(size=(80, 20)) as pilot:
        app = pilot.app
        assert isinstance(app, CurvesApp)
        for number, values in enumerate(curves):
            epochs = [3.0 * (index + 1) / len(values) for index in range(len(values))]
            app.draw(Line("a", Curve(epochs, values), "red", "●"), Line("b", Curve(epochs, values), "blue"),
                     logarithmic=number % 2 == 1)  # fmt: skip
            await pilot.pause()
            if len(values) == 3 and all(0 < value < inf for value in values):
                assert marker_rows(app, "●"), values
