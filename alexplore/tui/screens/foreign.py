"""A log of another program: its metrics with their last values, and the curve of the selected one. It is only read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.strip import Strip
from textual.worker import get_current_worker

from alexplore.core.inert import inert_line
from alexplore.render.foreign import value_text
from alexplore.runs.foreign import ForeignLog, ForeignMetric, ForeignReader, ForeignSnapshot
from alexplore.tui.columns import fit
from alexplore.tui.plot import Line, Plot
from alexplore.tui.polling import pause
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.curves import Curves

POLL_SECONDS = 1.0
VALUE_CELLS = 12


@dataclass
class LogPolled(Message):
    """The log was read."""

    snapshot: ForeignSnapshot


class MetricList(CursorList):
    """The metrics of a log with their last values."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}

    def __init__(self) -> None:
        super().__init__(id="metrics", classes="frame")
        self._metrics: Sequence[ForeignMetric] = ()

    def show(self, metrics: Sequence[ForeignMetric]) -> None:
        """Show metrics; the cursor stays in its line."""
        self._metrics = metrics
        self.border_title = f"last values · {len(metrics)}"
        self.show_lines()

    @property
    def selected(self) -> ForeignMetric | None:
        """The metric under the cursor."""
        return self._metrics[self.cursor] if self.cursor < len(self._metrics) else None

    @property
    def line_count(self) -> int:
        """The number of metrics."""
        return len(self._metrics)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return the name of a metric and its last value."""
        metric = self._metrics[index]
        style = self.style("table--cursor") if selected else self.style()
        name = fit(inert_line(metric.name), max(1, width - VALUE_CELLS - 3), left=True)
        text = f" {name} {value_text(metric.value):>{VALUE_CELLS}} "
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)


class ForeignScreen(FrameScreen):
    """Follows a log of TensorBoard or Lightning."""

    MODE: ClassVar[Mode | None] = None
    AUTO_FOCUS = "#metrics"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "pop_screen", "back", tooltip="Close the log"),
    ]

    CSS = """
    ForeignScreen #metrics { width: 44; max-width: 50%; }
    ForeignScreen #curve { width: 1fr; }
    """

    def __init__(self, log: ForeignLog) -> None:
        super().__init__()
        self._foreign_log = log

    def compose_body(self) -> ComposeResult:
        """Put the metrics beside the curve."""
        with Horizontal():
            yield MetricList()
            yield Curves(self._foreign_log.name, id="curve")

    def on_mount(self) -> None:
        """Start reading."""
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        worker, reader, shown = get_current_worker(), ForeignReader(self._foreign_log), None
        while not worker.is_cancelled and self.is_running:
            snapshot = reader.poll()
            if snapshot is not shown:
                shown = snapshot
                self.post_message(LogPolled(snapshot))
            pause(worker, POLL_SECONDS)

    @on(LogPolled)
    def _polled(self, event: LogPolled) -> None:
        self.query_one(MetricList).show(event.snapshot.metrics)
        self._draw()
        if event.snapshot.problems:
            self.show_outcome(event.snapshot.problems[0], "error")

    @on(CursorList.Highlighted, "#metrics")
    def _draw(self) -> None:
        """Draw the curve of the selected metric."""
        metric = self.query_one(MetricList).selected
        if metric is None:
            return
        line = Line(inert_line(metric.name), metric.curve.epochs, metric.curve.values, "series-1")
        title = f"{self._foreign_log.program} · {inert_line(self._foreign_log.name)}"
        self.query_one("#curve", Curves).draw(Plot([line], 0.0, "steps", number=value_text), title)
