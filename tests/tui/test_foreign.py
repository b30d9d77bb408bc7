"""The screen of another program's log."""

from __future__ import annotations

from pathlib import Path

from alexplore.presets.library import load_preset
from alexplore.runs.foreign import find_log
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens.foreign import ForeignScreen, MetricList
from alexplore.tui.widgets.curves import Curves
from tests.support.screens import until


async def test_a_log_is_followed_and_only_read(tmp_path: Path) -> None:
    path = tmp_path / "log" / "metrics.csv"
    path.parent.mkdir()
    path.write_text("step,acc,loss\n1,0.5,2\n2,0.75,1\n")
    log = find_log(path.parent)
    app = ExploreApp(load_preset("fmnist-28"), tmp_path / "runs", log=log)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = app.screen
        assert isinstance(screen, ForeignScreen)
        metrics, curve = screen.query_one(MetricList), screen.query_one(Curves)
        await until(pilot, lambda: metrics.line_count == 2, "both metrics")
        assert metrics.line_strip(0, False, 44).text.split() == ["acc", "0.75"]
        await until(pilot, lambda: curve._plot.lines and curve._plot.lines[0].name == "acc", "its curve")
        assert list(curve._plot.lines[0].y) == [0.5, 0.75]
        await pilot.press("down")
        await until(pilot, lambda: curve._plot.lines[0].name == "loss", "the other curve")
        path.write_text("step,acc,loss\n1,0.5,2\n2,0.75,1\n3,0.875,0.5\n")
        await until(pilot, lambda: list(curve._plot.lines[0].y) == [2.0, 1.0, 0.5], "the new value")
        await pilot.press("escape")
        assert app.screen is app.explore
