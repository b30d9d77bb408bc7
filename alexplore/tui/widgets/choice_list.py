"""A list from which one line is chosen, by Enter or a click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip

from alexplore.tui.columns import fit
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.word_filter import contains_words


@dataclass(frozen=True)
class Choice:
    """A line to choose: its name, and a note about it."""

    name: str
    note: str = ""


class ChoiceList(CursorList):
    """Shows the names of choices with their notes beside them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "choose", tooltip="Choose the line under the cursor"),
    ]
    ENTER_CHOOSES = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor", "choice-list--note"}
    DEFAULT_CSS = """
    ChoiceList {
        height: auto;
        background: $background;
        .choice-list--note { color: $faint; }
    }
    """

    def __init__(self, choices: Sequence[Choice], selected: str = "") -> None:
        """Show choices, with the cursor on the one called `selected`."""
        super().__init__()
        self.choices = choices
        self._name_width = max((len(choice.name) for choice in choices), default=0)
        self._first = next((index for index, choice in enumerate(choices) if choice.name == selected), 0)

    def on_mount(self) -> None:
        """Put the cursor on the first choice, or on the selected one."""
        self.show_lines()
        self.cursor = self._first

    @property
    def selected(self) -> Choice | None:
        """The choice under the cursor."""
        return self.choices[self.cursor] if self.is_listed(self.cursor) else None

    @property
    def line_count(self) -> int:
        """The number of choices."""
        return len(self.choices)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a choice."""
        choice = self.choices[index]
        style = self.style("table--cursor") if selected else self.style()
        cells = min(self._name_width, max(1, width - 2))
        segments = [Segment(f" {fit(choice.name, cells, left=True)}", style)]
        room = width - cells - 4
        if choice.note and room > 0:
            note = fit(choice.note, room, left=True)
            segments.append(Segment(f"  {note}", style if selected else self.style("choice-list--note")))
        return Strip(segments).adjust_cell_length(width, style)

    def contains(self, index: int, words: str) -> bool:
        """Return whether words are in the name of a choice or in its note."""
        choice = self.choices[index]
        return contains_words(f"{choice.name} {choice.note}", words)

    def copied_text(self) -> str:
        """Return the name of the choice under the cursor."""
        return self.selected.name if self.selected else ""

    def on_click(self, event: events.Click) -> None:
        """Choose the line that was clicked."""
        offset = event.get_content_offset(self)
        if offset is not None and self._index_at(offset.y) is not None:
            self.action_choose()
