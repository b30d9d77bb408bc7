"""A list of settings with the lines below it that explain the one under the cursor."""

from __future__ import annotations

from typing import ClassVar, Self

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip

from alexplore.render.wrapping import wrap_cells
from alexplore.tui.form import Form
from alexplore.tui.widgets.line_widget import LineWidget
from alexplore.tui.widgets.setting_list import LABEL_LEFT, SettingList


class SettingHelp(LineWidget):
    """Shows the description or the error of a setting, or the words of a search, wrapped onto its lines."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"setting-help--error"}
    DEFAULT_CSS = """
    SettingHelp {
        height: 2;
        color: $faint;
        .setting-help--error { color: $bad; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.text, self._wrong = "", False

    def show(self, text: str, *, wrong: bool = False) -> None:
        """Show a text."""
        if (text, wrong) != (self.text, self._wrong):
            self.text, self._wrong = text, wrong
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Render one line of the text."""
        width, height = max(1, self.size.width - LABEL_LEFT), self.size.height
        lines = wrap_cells(self.text, width, most_lines=height) if height else []
        style = self.style("setting-help--error") if self._wrong else self.style()
        text = " " * LABEL_LEFT + (lines[y] if y < len(lines) else "")
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, self.style())


HINTS = {
    (False, False): "↑↓ move · ←→ value · type or ⏎ to edit · / find",
    (True, False): "⏎ ends · ↓ ends and goes on · esc takes back",
    (False, True): "↑↓ move · ⏎ goes there · esc ends",
}
AT_ONCE_HINTS = HINTS | {
    (False, False): "↑↓ setting · ←→ value · ⏎ keep · esc cancel",
    (True, False): "⏎ keep · ↑↓ setting · esc takes back",
}
"""The keys of a list, by whether a value is edited and whether a setting is searched for."""


class SettingPane(Vertical):
    """A list of settings with the lines below it that explain the one under the cursor."""

    def __init__(self, *, at_once: bool = False, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._hints = AT_ONCE_HINTS if at_once else HINTS
        self.list = SettingList(at_once=at_once)
        self.help = SettingHelp()

    def compose(self) -> ComposeResult:
        """Yield the list and the lines below it."""
        yield self.list
        yield self.help

    def edit(self, form: Form) -> None:
        """Show a form and focus it."""
        self.list.show(form)
        self.focus()

    def refresh_form(self) -> None:
        """Show the form again, after something else has changed it."""
        self.list.show_form()

    def select(self, name: str) -> None:
        """Move the cursor to the field called `name`."""
        self.list.select(name)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Focus the list."""
        self.list.focus(scroll_visible)
        return self

    @on(SettingList.Explained)
    def show_help(self) -> None:
        """Show the error or the description of the setting under the cursor, and the keys that work."""
        form, field = self.list.form, self.list.field
        if form is None:
            return
        self.border_subtitle = self._hints[(self.list.editing, self.list.finding)]
        if form.search is not None:
            total = sum(form.is_used(each) for each in form.fields)
            found = f"{len(form.lines)} of {total}"
            self.help.show(f"/ {form.search.text}▏  {found}")
        elif field is None:
            self.help.show("Enter, ◂ and ▸ fold and unfold the group")
        elif error := form.error_of(field):
            self.help.show(f"✗ {error}", wrong=True)
        elif form.error and not form.error_field:
            self.help.show(f"✗ {form.error}", wrong=True)
        else:
            self.help.show(f"{field.note} · {field.description}" if field.note else field.description)
