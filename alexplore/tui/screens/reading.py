"""Something to read over the whole terminal: a comparison, or where a preset is from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.measure import Measurement
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.screen import Screen
from textual.widgets import Static

from alexplore.network.analysis import Analysis
from alexplore.network.compare import compare
from alexplore.presets.preset import Preset
from alexplore.render.network_tables import about, diff_table, diff_totals, explanation
from alexplore.tui.widgets.key_bar import KeyBar

UNWRAPPED = 500


class ReadingScreen(Screen[None]):
    """Scrolls both ways; Escape goes back."""

    CSS_PATH = "reading.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back", tooltip="Go back to the network"),
    ]

    def __init__(self, title: str, content: Iterable[RenderableType], *, unwrapped: bool = False) -> None:
        """`unwrapped` content keeps its width, however narrow the terminal."""
        super().__init__()
        self._title = title
        self._content = Group(*content)
        self._unwrapped = unwrapped

    def compose(self) -> ComposeResult:
        """A framed page."""
        with ScrollableContainer(id="page") as page:
            page.border_title = Text(self._title)
            yield Static(self._content)
        yield KeyBar()

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        if self._unwrapped:
            options = self.app.console.options.update(width=UNWRAPPED)
            width = Measurement.get(self.app.console, options, self._content).maximum
            self.query_one("#page Static").styles.width = width
        self.query_one("#page").focus()


def comparison(a: Preset, b: Preset) -> ReadingScreen:
    """Two networks side by side."""
    compared = compare(a.network, b.network)
    legend = "≠ settings differ · ≈ only numbers do · − only in a · + only in b"
    content = (diff_table(a, b, compared), legend, "", diff_totals(a, b, compared))
    return ReadingScreen(f"{a.name} and {b.name}", content, unwrapped=True)


def totals(preset: Preset, analysis: Analysis) -> ReadingScreen:
    """The totals' arithmetic, with what training by the preset's recipe takes."""
    return ReadingScreen("Totals", explanation(preset, analysis, (), preset.recipe.batch_size, totals=True))


def source(preset: Preset, analysis: Analysis) -> ReadingScreen:
    """Where a preset is from, and its published numbers beside ours."""
    return ReadingScreen("Source", about(preset, analysis))
