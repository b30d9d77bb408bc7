"""Dialogs over a screen. Each is dismissed with its answer; Escape answers None, and in `Confirm` False."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option


class Choose(ModalScreen[str | None]):
    """Asks to choose one option of a list; the answer is its id."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", show=False)]

    def __init__(self, title: str, options: Sequence[Option | None]) -> None:
        super().__init__()
        self._title = title
        self._options = options

    def compose(self) -> ComposeResult:
        """Yield the list in a frame."""
        with Vertical(classes="dialog") as frame:
            frame.border_title = Text(self._title)
            frame.border_subtitle = "enter chooses · escape cancels"
            yield OptionList(*self._options)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer with the id of the option."""
        self.dismiss(event.option.id)


class Ask(ModalScreen[str | None]):
    """Asks for a line of text."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", show=False)]

    def __init__(self, title: str, value: str = "", note: str = "") -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._note = note

    def compose(self) -> ComposeResult:
        """Yield the input, with a note below it, in a frame."""
        with Vertical(classes="dialog") as frame:
            frame.border_title = Text(self._title)
            frame.border_subtitle = "enter accepts · escape cancels"
            yield Input(self._value)
            if self._note:
                yield Label(self._note)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the text, unless it is blank."""
        if event.value.strip():
            self.dismiss(event.value.strip())


class Confirm(ModalScreen[bool]):
    """Asks a question to answer with yes or no."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", "Yes"),
        Binding("n,escape", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Yield the question and its keys in a frame."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Label("y or enter: yes · n or escape: no")
