"""The log of a run fills the width of its panel."""

from __future__ import annotations

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from alexplore.tui.widgets.run_log import RunLog

WORDS = "training on CPU in fp32: 1 rank, 2 threads each and nothing else to do"
SCROLLBAR = 2


class LogApp(App[None]):
    """An app with a log and nothing else."""

    def __init__(self, *, shown: bool = True) -> None:
        super().__init__()
        self._shown = shown

    def compose(self) -> ComposeResult:
        """The log."""
        log = RunLog()
        log.display = self._shown
        yield log


def lines(pilot: Pilot[None]) -> list[str]:
    """Return the lines of the log."""
    return [line.text.rstrip() for line in pilot.app.query_one(RunLog).lines]


async def test_lines_fill_the_width_and_are_wrapped_again_after_a_resize() -> None:
    async with LogApp().run_test(size=(80, 24)) as pilot:
        pilot.app.query_one(RunLog).add(Text(WORDS))
        await pilot.pause()
        assert lines(pilot) == [WORDS]
        await pilot.resize_terminal(len(WORDS) + SCROLLBAR - 1, 24)
        await pilot.pause()
        *start, last = WORDS.split()
        assert lines(pilot) == [" ".join(start), last]
        await pilot.resize_terminal(len(WORDS) + SCROLLBAR, 24)
        await pilot.pause()
        assert lines(pilot) == [WORDS]


@pytest.mark.parametrize("shown_before", [False, True])
async def test_a_line_added_while_the_log_is_hidden_fills_the_width(shown_before: bool) -> None:
    async with LogApp(shown=shown_before).run_test(size=(80, 24)) as pilot:
        log = pilot.app.query_one(RunLog)
        log.display = False
        await pilot.pause()
        log.add(Text(WORDS))
        log.display = True
        log.add(Text("at once"))
        await pilot.pause()
        assert lines(pilot) == [WORDS, "at once"]


async def test_cleared_lines_do_not_come_back() -> None:
    async with LogApp().run_test(size=(80, 24)) as pilot:
        log = pilot.app.query_one(RunLog)
        log.add(Text("of the run before"))
        log.clear_lines()
        log.add(Text("of this run"))
        await pilot.resize_terminal(60, 24)
        await pilot.pause()
        assert lines(pilot) == ["of this run"]
