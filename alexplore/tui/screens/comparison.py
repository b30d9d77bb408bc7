"""The page that puts other presets beside the network of Explore, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from alexplore.presets.preset import Preset
from alexplore.tui.comparison import ComparedPresets
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.widgets.comparison_table import ComparisonTable
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.text_lines import TextLine, TextLines

HIGH = 30  # lines of the terminal from which there is room for every total
ESSENTIAL = ("params", "MACs")  # totals that are always shown


class ComparisonScreen(FrameScreen):
    """Shows the layers in pairs, the details of the pair under the cursor, and the totals."""

    CSS_PATH = "comparison.tcss"
    MODE: ClassVar[Mode | None] = "explore"
    AUTO_FOCUS = "ComparisonTable"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "pop_screen", "back", tooltip="Go back to the network"),
        Binding("right", "turn(1)", "next preset", tooltip="Put the next marked preset beside the network"),
        Binding("left", "turn(-1)", "preset before", show=False, tooltip="Put the marked preset before beside it"),
        Binding("greater_than_sign", "difference(1)", "next difference", tooltip="Go to the next pair that differs"),
        Binding("less_than_sign", "difference(-1)", "difference before", show=False, tooltip="Go to the one before"),
    ]

    def __init__(self, preset: Preset, others: Sequence[Preset]) -> None:
        super().__init__()
        self._compared = [ComparedPresets(preset, other) for other in others]
        self._turn = 0

    def compose_body(self) -> ComposeResult:
        """Put the table above the details of the pair under its cursor, and the totals below."""
        yield TextLines(id="compared")
        yield ComparisonTable(id="pairs", classes="frame")
        yield TextLines(id="pair", fixed=True)
        yield TextLines(id="differences")

    def on_mount(self) -> None:
        """Show the first preset."""
        self._show()

    def _show(self) -> None:
        compared = self._compared[self._turn]
        table = self.query_one(ComparisonTable)
        table.show(compared)
        turn = f"{self._turn + 1} of {len(self._compared)} · ← → others" if len(self._compared) > 1 else ""
        titles = (f"{letter}: {preset.name} · {preset.title}" for letter, preset in _lettered(compared))
        self.query_one("#compared", TextLines).show([TextLine((title,), (turn,)) for title in titles])
        self._show_totals()
        self._show_pair()

    def on_resize(self) -> None:
        """Show the totals for which there is room."""
        self._show_totals()

    def _show_totals(self) -> None:
        """Show all totals; on a low terminal only the essential ones, to leave lines for the table."""
        high = self.app.size.height >= HIGH
        totals = [
            f"{title} {a} → {b} ({change})" if a != b else f"{title} {a}"
            for title, a, b, change in self._compared[self._turn].totals()
            if high or title in ESSENTIAL
        ]
        self.query_one("#differences", TextLines).show([TextLine(totals, kind="faint", wraps=True)])

    @on(CursorList.Highlighted, "#pairs")
    def _show_pair(self) -> None:
        table = self.query_one(ComparisonTable)
        if table.line_count:
            lines = table.compared.details(table.compared.pairs[table.cursor])
            self.query_one("#pair", TextLines).show([TextLine((line,), wraps=True) for line in lines])

    def action_turn(self, step: int) -> None:
        """Put another of the marked presets beside the network."""
        self._turn = (self._turn + step) % len(self._compared)
        self._show()

    def action_difference(self, step: int) -> None:
        """Go to the next pair that differs, or to the one before."""
        table = self.query_one(ComparisonTable)
        index = table.cursor + step
        while 0 <= index < table.line_count:
            if table.compared.pairs[index].kind != "same":
                table.cursor = index
                return
            index += step

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out the keys that change the preset if there is only one."""
        return action != "turn" or len(self._compared) > 1


def _lettered(compared: ComparedPresets) -> Iterator[tuple[str, Preset]]:
    yield "a", compared.here
    yield "b", compared.there
