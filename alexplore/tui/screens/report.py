"""Full-screen reports to read: a comparison, the arithmetic of the totals, the source of a preset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.widgets import Static

from alexplore.network.analysis import Analysis
from alexplore.network.compare import compare
from alexplore.presets.preset import Preset
from alexplore.render.network_tables import about, diff_table, diff_totals, explanation
from alexplore.tui.screens.frame import FrameScreen


class ReportScreen(FrameScreen):
    """Shows what the command line prints, fitted to the terminal's width; Escape goes back."""

    CSS_PATH = "report.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back", tooltip="Go back to the network"),
    ]

    def __init__(self, title: str, content: Iterable[RenderableType]) -> None:
        super().__init__()
        self._title = title
        self._content = Group(*content)

    def compose_body(self) -> ComposeResult:
        """Put the content in one framed page that scrolls."""
        with ScrollableContainer(id="page") as page:
            page.border_title = Text(self._title)
            yield Static(self._content)

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self.query_one("#page").focus()


def comparison(a: Preset, b: Preset) -> ReportScreen:
    """Return a report of two networks side by side."""
    compared = compare(a.network, b.network)
    legend = "≠ settings differ · ≈ only numbers do · − only in a · + only in b"
    content = (diff_table(a, b, compared), legend, "", diff_totals(a, b, compared))
    return ReportScreen(f"{a.name} and {b.name}", content)


def totals(preset: Preset, analysis: Analysis) -> ReportScreen:
    """Return a report of the totals' arithmetic and of the memory that training by the preset's recipe takes."""
    return ReportScreen("Totals", explanation(preset, analysis, (), preset.recipe.batch_size, totals=True))


def source(preset: Preset, analysis: Analysis) -> ReportScreen:
    """Return a report of where a preset is from, with its published numbers beside the calculated ones."""
    return ReportScreen("Source", about(preset, analysis))
