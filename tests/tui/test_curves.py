"""The widget of curves: its keys, and how little of the screen it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot

from alexplore.tui import app as tui
from alexplore.tui.palette import app_colours
from alexplore.tui.plot import Line, Plot
from alexplore.tui.widgets.curves import Curves
from tests.support.screens import screen_text

LINES = [
    Line("worse", [1, 2], [0.8740, 0.8917], "series-1", "▲"),
    Line("better", [1, 2, 3], [0.8589, 0.8846, 0.8947], "series-2", "●"),
]
PLOT = Plot(LINES, 3, percent=True, number="{:.1%}".format)


class StyledApp(App[None]):
    """The styles of the app, for a widget of it."""

    CSS_PATH = Path(tui.__file__).parent / "app.tcss"

    def get_css_variables(self) -> dict[str, str]:
        """Return the colours of the app."""
        variables = super().get_css_variables()
        return variables | app_colours(variables)


class CurvesApp(StyledApp):
    """A plot and nothing else."""

    def compose(self) -> ComposeResult:
        """Yield the plot."""
        yield Curves("accuracy")

    def on_mount(self) -> None:
        """Draw before the widget has a size, too."""
        self.curves.draw(PLOT)

    @property
    def curves(self) -> Curves:
        """The plot."""
        return self.query_one(Curves)


def frames(app: App[None]) -> tuple[str, str]:
    """The texts in the upper and the lower frame."""
    rows = screen_text(app).splitlines()
    return rows[0].strip("┏━┓╭─╮ "), rows[-1].strip("┗━┛╰─╯ ")


async def press(pilot: Pilot[None], *keys: str) -> tuple[str, str]:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    return frames(pilot.app)


def scroll(kind: type[MouseScrollUp | MouseScrollDown], app: CurvesApp) -> MouseScrollUp | MouseScrollDown:
    return kind(app.curves, 30, 5, 0, 0, 0, False, False, False, 30, 5)


def is_zoomed(app: CurvesApp) -> bool:
    return app.curves.view.part is not None


async def test_keys_zoom_read_and_come_back() -> None:
    async with CurvesApp().run_test(size=(80, 20)) as pilot:
        whole = screen_text(pilot.app)
        assert "accuracy" in whole and "89.5% better" in whole
        assert await press(pilot, "left") == ("accuracy", "epoch 3 · worse 89.2% at 2 · better 89.5%")
        assert await press(pilot, "left") == ("accuracy", "epoch 2 · worse 89.2% · better 88.5%")
        assert (await press(pilot, "plus"))[0] == "accuracy · zoomed · 0 whole"
        assert "2.2" in screen_text(pilot.app)  # a tick that the whole run has no room for
        assert (await press(pilot, "minus"))[0] == "accuracy"
        await press(pilot, "plus", "0")
        assert screen_text(pilot.app) == whole
        assert (await press(pilot, "l"))[0] == "accuracy · log"


async def test_the_part_that_is_shown_stays_when_the_lines_grow() -> None:
    app = CurvesApp()
    async with app.run_test(size=(80, 20)) as pilot:
        await press(pilot, "left", "plus")
        part = app.curves.view.part
        app.curves.draw(Plot([*LINES, Line("new", [1], [0.5], "series-3", "■")], 3))
        assert app.curves.view.part == part
        app.curves.draw(Plot(LINES, 3, unit="min"))
        assert app.curves.view.part is None  # a part of other units means nothing


async def test_the_wheel_zooms_in_upwards_and_only_with_the_focus() -> None:
    app = CurvesApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.curves.blur()
        await pilot.pause()
        app.curves.post_message(scroll(MouseScrollUp, app))
        await pilot.pause()
        assert not is_zoomed(app)
        app.curves.focus()
        app.curves.post_message(scroll(MouseScrollUp, app))
        await pilot.pause()
        assert is_zoomed(app)
        app.curves.post_message(scroll(MouseScrollDown, app))
        await pilot.pause()
        assert not is_zoomed(app)


async def test_a_click_reads_the_values_there() -> None:
    app = CurvesApp()
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.click(Curves, offset=(35, 5))
        await pilot.pause()
        assert frames(app)[1].startswith("epoch 1.")


async def test_only_what_changes_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor's two columns and the lower frame; of another point the cells that it changes; no layout."""
    app = CurvesApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "left")
        written: list[int] = []
        plain = Curves._set_dirty

        def count(widget: Curves, *regions: object) -> None:
            if isinstance(widget, Curves):
                written.append(sum(region.area for region in regions) if regions else 10**6)  # type: ignore[attr-defined]
            plain(widget, *regions)  # type: ignore[arg-type]

        monkeypatch.setattr(Curves, "_set_dirty", count)
        await press(pilot, "left")
        assert 0 < sum(written) < 300
        written.clear()
        app.curves.draw(PLOT)
        await pilot.pause()
        assert written == []


async def test_a_resized_plot_is_drawn_for_its_size() -> None:
    app = CurvesApp()
    async with app.run_test(size=(40, 20)) as pilot:
        await pilot.resize_terminal(160, 12)
        await pilot.pause()
        rows = screen_text(app).splitlines()
        assert len(rows) == 12
        assert "89.5% better" in screen_text(app)
        assert rows[-2].count("epochs") == 1


async def test_copying_takes_the_values_at_the_cursor_or_else_the_newest() -> None:
    app = CurvesApp()
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        assert app.curves.copied_text() == "accuracy: epoch 3 · worse 89.2% at 2 · better 89.5%"
        app.curves.focus()
        await press(pilot, "left", "left")
        assert app.curves.copied_text() == "accuracy: epoch 2 · worse 89.2% · better 88.5%"
        app.curves.draw(Plot())
        assert app.curves.copied_text() == ""
