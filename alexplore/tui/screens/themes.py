"""The choice of a theme: the app shows the theme under the cursor, Enter keeps it, Escape goes back."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.timer import Timer

from alexplore.tui.screens.dialogs import Dialog
from alexplore.tui.widgets.cursor_list import CursorList

PREVIEW_SECONDS = 0.1  # that the cursor must stay on a theme before the screens are drawn in it


class ThemeList(CursorList):
    """The names of the themes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "keep", tooltip="Keep the theme under the cursor"),
    ]

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    @property
    def line_count(self) -> int:
        """The number of themes."""
        return len(self.names)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a name."""
        style = self.style("table--cursor") if selected else self.style()
        return Strip([Segment(f" {self.names[index]}", style)]).adjust_cell_length(width, style)

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}


class ThemeScreen(Dialog[str | None]):
    """Lists the themes over the screen that shows the one under the cursor; the answer is the theme that is kept."""

    DEFAULT_CSS = """
    ThemeScreen {
        align: right middle;
        background: transparent;
        ThemeList {
            width: 30;
            height: 70%;
            border: heavy $frame-focus;
            border-title-color: $foreground;
            border-title-style: bold;
            border-subtitle-color: $faint;
            background: $background;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back", tooltip="Keep the theme as it was")]

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names = names
        self._before = ""
        self._preview: Timer | None = None

    def compose(self) -> ComposeResult:
        """Yield the list."""
        themes = ThemeList(self._names)
        themes.border_title = "Themes"
        themes.border_subtitle = "⏎ keeps · esc back"
        yield themes

    def on_mount(self) -> None:
        """Put the cursor on the current theme."""
        self._before = self.app.theme
        themes = self.query_one(ThemeList)
        themes.show_lines()
        themes.cursor = self._names.index(self._before) if self._before in self._names else 0
        themes.focus()

    @on(CursorList.Highlighted)
    def _highlighted(self, event: CursorList.Highlighted) -> None:
        if self._preview is not None:
            self._preview.stop()
        name = self._names[event.index]
        self._preview = self.set_timer(PREVIEW_SECONDS, lambda: self._show(name))

    def _show(self, name: str) -> None:
        if self.app.theme != name:
            self.app.theme = name

    @on(CursorList.Chosen)
    def _chosen(self, event: CursorList.Chosen) -> None:
        self._end(self._names[event.index], kept=True)

    def action_back(self) -> None:
        """Show the previous theme again."""
        self._end(self._before, kept=False)

    def _end(self, name: str, *, kept: bool) -> None:
        if self._preview is not None:
            self._preview.stop()
        self._show(name)
        self.dismiss(name if kept else None)
