"""Full-screen reports to read: the arithmetic of the totals, the source of a preset, the evaluation of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Group, RenderableType
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from alexplore.network.analysis import Analysis
from alexplore.presets.preset import Preset
from alexplore.render.evaluations import evaluation_lines
from alexplore.render.network_tables import about, explanation
from alexplore.runs.evaluation import Evaluation
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.widgets.text_page import TextPage


class ReportScreen(FrameScreen):
    """Shows what the command line prints, fitted to the terminal's width; Escape goes back."""

    CSS_PATH = "report.tcss"
    MODE: ClassVar[Mode | None] = "explore"
    AUTO_FOCUS = "#page"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "pop_screen", "back", tooltip="Go back to the network"),
    ]

    def __init__(self, title: str, content: Iterable[RenderableType]) -> None:
        super().__init__()
        self._title = title
        self._content = Group(*content)

    def compose_body(self) -> ComposeResult:
        """Put the content in one framed page that scrolls."""
        page = TextPage(self._content, id="page", classes="frame")
        page.border_title = self._title
        page.border_subtitle = "y copies the line"
        yield page


class EvaluationScreen(ReportScreen):
    """Shows what `alexplore evaluate` prints of a run; Escape goes back."""

    MODE: ClassVar[Mode | None] = None

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "pop_screen", "back", tooltip="Go back to the run"),
    ]


def evaluated(name: str, evaluation: Evaluation) -> ReportScreen:
    """Return a report of the evaluation of the run of that name."""
    return EvaluationScreen(f"Evaluation of {name}", evaluation_lines(evaluation))


def totals(preset: Preset, analysis: Analysis) -> ReportScreen:
    """Return a report of the totals' arithmetic and of the memory that training by the preset's recipe takes."""
    return ReportScreen("Totals", explanation(preset, analysis, (), preset.recipe.batch_size, totals=True))


def source(preset: Preset, analysis: Analysis) -> ReportScreen:
    """Return a report of where a preset is from, with its published numbers beside the calculated ones."""
    return ReportScreen("Source", about(preset, analysis))
