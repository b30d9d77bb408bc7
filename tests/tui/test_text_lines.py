"""Lines that fold and wrap to the width."""

from __future__ import annotations

from textual.app import ComposeResult

from alexplore.tui.widgets.text_lines import TextLine, TextLines, _arranged
from tests.support.screens import screen_text
from tests.tui.test_curves import StyledApp


def test_parts_are_left_out_from_the_last_on() -> None:
    line = TextLine(("60,965,224 params", "724.4M MACs", "233 MiB"))
    assert next(_arranged(line, 60))[0] == "60,965,224 params · 724.4M MACs · 233 MiB"
    assert next(_arranged(line, 35))[0] == "60,965,224 params · 724.4M MACs"
    assert next(_arranged(line, 20))[0] == "60,965,224 params"


def test_the_right_is_the_first_text_that_fits() -> None:
    line = TextLine(("paper",), ("edited · p presets", "edited"))
    assert next(_arranged(line, 40))[1] == "edited · p presets"
    assert next(_arranged(line, 14))[1] == "edited"
    assert next(_arranged(line, 8))[1] == ""


def test_a_line_that_wraps_loses_nothing() -> None:
    words = "pool1: padding 9 is more than half of the window's height 3: set padding to 1"
    lines = [text for text, _, _ in _arranged(TextLine((words,), wraps=True), 30)]
    assert " ".join(lines) == words
    assert max(map(len, lines)) <= 30


class FixedApp(StyledApp):
    """Two lines, however many there are to show."""

    CSS = "TextLines { height: 2; }"

    def compose(self) -> ComposeResult:
        """Yield them."""
        yield TextLines(fixed=True)

    def on_mount(self) -> None:
        """Show more."""
        self.query_one(TextLines).show([TextLine(("params 60,965,224 and 724,406,816 MACs",), wraps=True)] * 2)


async def test_lines_without_room_end_with_an_ellipsis() -> None:
    async with FixedApp().run_test(size=(31, 3)) as pilot:
        await pilot.pause()
        assert [line.strip() for line in screen_text(pilot.app).splitlines()][:2] == [
            "params 60,965,224 and",
            "724,406,816 MACs…",
        ]
