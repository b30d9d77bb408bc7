"""Show how a run's network classifies the user's image: classes, evidence for the first, and feature maps."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.runs.look import Look
from alexplore.tui.inside_lines import looked
from alexplore.tui.picture_lines import Draw, Drawn, half_block_lines
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.unit_lines import Unit, unit_drawn
from alexplore.tui.widgets.inside_picture import InsidePicture


class LookScreen(FrameScreen):
    """Shows an image as `alexplore runs inside RUN --image FILE --cam guess` does, and the pixels that a unit sees."""

    DEFAULT_CSS = "LookScreen #inside-picture { width: 1fr; height: 1fr; }"
    MODE: ClassVar[Mode | None] = "train"
    AUTO_FOCUS = "#inside-picture"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "unit", "unit", tooltip="Select a unit of the maps: the pixels that it sees are outlined"),
        Binding("escape", "pop_screen", "back", tooltip="Go back to the network"),
    ]

    def __init__(self, found: Look, network: Network, draw: Draw = half_block_lines) -> None:
        """Show how `network` classified an image; `draw` draws its pictures."""
        super().__init__()
        self._found = found
        self._maps = found.feature_maps
        row = analyse(network).row(found.layer)
        assert row is not None, "the layer was looked into"
        self._row = row
        self._input_size = network.input[1:]
        self._draw_picture_lines = draw
        self._unit: Unit | None = None

    def compose_body(self) -> ComposeResult:
        """Fill the screen with the picture."""
        yield InsidePicture(self._picture)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.query_one(InsidePicture).update_lines)

    def action_unit(self) -> None:
        """Select a unit of the maps."""
        self._choose(Unit.middle(self._maps))

    @on(InsidePicture.UnitMoved)
    def _move_unit(self, event: InsidePicture.UnitMoved) -> None:
        if self._unit is not None:
            self._choose(self._unit.moved(self._maps, event.by))

    @on(InsidePicture.UnitLeft)
    def _leave_unit(self) -> None:
        self._choose(None)

    def _choose(self, unit: Unit | None) -> None:
        self._unit = unit
        picture = self.query_one(InsidePicture)
        picture.choosing = unit is not None
        picture.update_lines()
        self.refresh_bindings()

    def _picture(self, width: int, height: int) -> Drawn:
        name = Path(self._found.image).name
        if self._unit is None:
            drawn = looked(self._found, width, height, self._draw_picture_lines)
        else:
            drawn = unit_drawn(
                self._found.picture,
                self._maps,
                self._row,
                self._input_size,
                self._unit,
                (max(1, width), max(1, height)),
                self._draw_picture_lines,
            )
        return Drawn(f"{name} · {drawn.title}", drawn.lines)
