"""Dialogs over a screen. Each is dismissed with its answer; Escape answers None, and in `Confirm` False."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from alexplore.tui.named_keys import NamedKeys
from alexplore.tui.screens.closing import ClosesOnce
from alexplore.tui.widgets.choice_list import Choice, ChoiceList

Answer = TypeVar("Answer")


HELP = Binding(
    "question_mark,f1", "app.help", "help", show=False, tooltip="Every key that works here, and the words of the app"
)
"""Help in a dialog, which the app's own bindings do not reach."""

CANCEL = Binding("escape", "dismiss(None)", "cancel", show=False, tooltip="Close the dialog without an answer")


class Dialog(NamedKeys, ClosesOnce[Answer], ModalScreen[Answer]):
    """A screen over another one. A click outside its frame does what the dialog binds to Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [HELP]

    async def on_click(self, event: events.Click) -> None:
        """Close the dialog for a click outside the frame."""
        if not any(frame.region.contains(event.screen_x, event.screen_y) for frame in self.children):
            for binding in self._bindings.get_bindings_for_key("escape"):
                await self.run_action(binding.action)


class Choose(Dialog[str | None]):
    """Asks to choose one line of a list; the answer is its name."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [CANCEL]

    def __init__(self, title: str, choices: Sequence[Choice], selected: str = "") -> None:
        """Show choices, with the cursor on the one called `selected`, else on the first."""
        super().__init__()
        self._title = title
        self._choices = choices
        self._selected = selected

    def compose(self) -> ComposeResult:
        """Yield the list in a frame."""
        noted = any(choice.note for choice in self._choices)
        with Vertical(classes="dialog wide" if noted else "dialog") as frame:
            frame.border_title = Text(self._title)
            frame.border_subtitle = "⏎ chooses · / finds · esc cancels"
            yield ChoiceList(self._choices, self._selected)

    def on_cursor_list_chosen(self) -> None:
        """Answer with the choice under the cursor."""
        selected = self.query_one(ChoiceList).selected
        if selected is not None:
            self.dismiss(selected.name)


class Ask(Dialog[str | None]):
    """Asks for a line of text, which may be blank only with `blank`."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [CANCEL]

    def __init__(self, title: str, value: str = "", note: str = "", *, blank: bool = False) -> None:
        super().__init__()
        self._blank = blank
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
                yield Static(self._note, markup=False)
            with Horizontal(classes="answers"):
                yield Button("OK", id="yes", compact=True)
                yield Button("Cancel", id="no", compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the text as it was at Enter: on a slow machine, more has been typed since."""
        self._accept(event.value)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the text, or None."""
        if event.button.id == "yes":
            self._accept(self.query_one(Input).value)
        else:
            self.dismiss(None)

    def _accept(self, text: str) -> None:
        """Answer with a text, unless it is blank and must not be."""
        if text.strip() or self._blank:
            self.dismiss(text.strip())
        else:
            self.query_one(Input).focus()


class Confirm(Dialog[bool]):
    """Asks whether to do something that can't be undone. Enter answers no unless another button has the focus."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes", tooltip="Do it"),
        Binding("n,escape", "dismiss(False)", "no", tooltip="Do nothing, and close the dialog"),
        Binding(
            "left,right,up,down,h,l", "app.focus_next", "other answer", show=False, tooltip="Mark the other answer"
        ),
    ]

    def __init__(self, question: str, detail: str = "", *, yes: str = "Yes", no: str = "No") -> None:
        """Ask a question.

        Args:
            question: What is asked.
            detail: What is lost if the answer is yes.
            yes: The label of the button that does it.
            no: The label of the button that does not.
        """
        super().__init__()
        self._question, self._detail = question, detail
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        """Yield the question above its two answers in a frame."""
        with Vertical(classes="dialog") as frame:
            frame.border_subtitle = "y yes · n no · enter the marked answer"
            yield Static(self._question, markup=False)
            if self._detail:
                yield Static(self._detail, markup=False, classes="detail")
            with Horizontal(classes="answers"):
                yield Button(Text(self._no), id="no", compact=True)
                yield Button(Text(self._yes), id="yes", compact=True)

    def on_mount(self) -> None:
        """Mark the answer that changes nothing."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Give the answer of the button."""
        self.dismiss(event.button.id == "yes")
