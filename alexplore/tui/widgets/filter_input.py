"""The line in which a list is filtered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class FilterInput(Input):
    """A field above a list: escape clears and leaves it, down and Enter go to the list with the filter kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "clear", tooltip="Show everything again and leave the filter"),
        Binding("down", "leave(False)", "to the list", key_display="↓", tooltip="Go to the list that is left"),
    ]

    @dataclass
    class Left(Message):
        """The field was left; `cleared` means that there is no filter any more."""

        source: FilterInput
        cleared: bool

        @property
        def control(self) -> FilterInput:
            """The field, for `@on(…, "#id")`."""
            return self.source

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(placeholder="filter", id=id, compact=True, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the list."""
        event.stop()
        self.action_leave(False)

    def action_leave(self, cleared: bool) -> None:
        """Leave the field."""
        if cleared:
            self.value = ""
        self.post_message(self.Left(self, cleared))
