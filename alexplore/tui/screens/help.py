"""Help: every key that works on the focused pane, and the glossary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from alexplore.tui.glossary import Word, words
from alexplore.tui.keys import GROUPS, Key, matching
from alexplore.tui.screens.dialogs import Dialog
from alexplore.tui.word_filter import contains_words

WIDE = 96  # columns of the dialog from which the groups are beside each other


class HelpScreen(Dialog[None]):
    """Lists keys in groups, then the glossary; `/` filters both."""

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", show=False, tooltip="Clear the filter, or close the help"),
        Binding("q,question_mark,f1", "dismiss(None)", "close", show=False, tooltip="Close the help"),
        Binding("slash", "filter", "filter", show=False, tooltip="Show only the keys and words that match"),
        Binding("down", "scroll", "scroll", show=False, tooltip="Go from the filter to the list"),
    ]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, title: str, keys: Sequence[Key]) -> None:
        super().__init__()
        self._title = title
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Yield the filter above the groups, in a frame."""
        with Vertical(classes="dialog widest") as frame:
            frame.border_title = Text(" · ".join(part for part in ("Help", self._title) if part))
            frame.border_subtitle = "/ filters and explains · escape closes"
            yield Input(placeholder="/ filter", compact=True)
            with VerticalScroll():
                yield Static(id="help-text")

    def on_mount(self) -> None:
        """Show all keys and words."""
        self._show()

    def on_resize(self) -> None:
        """Arrange the groups for the new width."""
        self._show()

    def on_input_changed(self) -> None:
        """Show what matches the filter."""
        self._show()

    def on_input_submitted(self) -> None:
        """Go to the list of matches."""
        self.query_one(VerticalScroll).focus()

    def action_filter(self) -> None:
        """Go to the filter."""
        self.query_one(Input).focus()

    def action_scroll(self) -> None:
        """Leave the filter for the list."""
        self.query_one(VerticalScroll).focus()

    def action_leave(self) -> None:
        """Clear the filter, or close the help if there is no filter."""
        field = self.query_one(Input)
        if field.value:
            field.value = ""
            self.query_one(VerticalScroll).focus()
        else:
            self.dismiss(None)

    def _show(self) -> None:
        wanted = self.query_one(Input).value
        keys = matching(self._keys, wanted)
        found = [word for word in words() if contains_words(" ".join(word), wanted)]
        beside = self.size.width >= WIDE and not wanted
        shown: list[RenderableType] = [_columns(keys) if beside else _rows(keys)] if keys else []
        if found:
            shown += [Text("\nWords" if keys else "Words", "bold"), _words(found)]
        self.query_one("#help-text", Static).update(Group(*shown or [Text("no key and no word matches")]))


def _grouped(keys: Sequence[Key]) -> list[tuple[str, list[Key]]]:
    groups = [(group, [key for key in keys if key.group == group]) for group in GROUPS]
    return [(group, members) for group, members in groups if members]


def _columns(keys: Sequence[Key]) -> Table:
    """Return the groups beside each other: keys and names."""
    groups = _grouped(keys)
    table = Table.grid(padding=(0, 2), expand=True)
    for _ in groups:
        table.add_column(ratio=1)
    cells: list[RenderableType] = []
    for group, members in groups:
        inner = Table.grid(padding=(0, 1))
        for key in members:
            inner.add_row(Text(f"  {key.keys}", "bold"), Text(key.name))
        cells.append(Group(Text(group, "bold"), inner))
    table.add_row(*cells)
    return table


def _rows(keys: Sequence[Key]) -> Table:
    """Return the groups below each other: keys, names and what each does."""
    table = Table.grid(padding=(0, 1))
    for group, members in _grouped(keys):
        table.add_row(Text(group, "bold"))
        for key in members:
            table.add_row(Text(f"  {key.keys}", "bold"), Text(key.name), Text(key.doc, "dim"))
    return table


def _words(found: Sequence[Word]) -> Table:
    table = Table.grid(padding=(0, 1))
    for term, meaning in found:
        table.add_row(Text(f"  {term}", "bold"), Text(meaning))
    return table
