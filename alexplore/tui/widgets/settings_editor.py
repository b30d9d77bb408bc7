"""Shows a form over settings and lets the user type into it.

The fields are painted, and a single input is placed on the field under the cursor: an input for each field would take a
quarter of a second to open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Region, Spacing
from textual.layout import WidgetPlacement
from textual.message import Message
from textual.strip import Strip
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from alexplore.tui.form import Field, Form
from alexplore.tui.widgets.line_widget import LineWidget

GAP = 2  # blank cells between two columns of fields
EMPTY = "–"  # an empty field without room for its placeholder


class SettingInput(Input):
    """The input for the field under the cursor; Tab goes to the next field, Up and Down count."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(1)", "More", show=False),
        Binding("down", "step(-1)", "Less", show=False),
        Binding("tab", "go(1)", "Next", show=False),
        Binding("shift+tab", "go(-1)", "Previous", show=False),
    ]

    @dataclass
    class Stepped(Message):
        """Count up or down."""

        step: int

    @dataclass
    class Left(Message):
        """Go to another field."""

        step: int

    def show_field(self, field: Field) -> None:
        """Show a field with its text selected, so that typing replaces it."""
        with self.prevent(Input.Changed):
            self.value = field.text
        self.placeholder = field.placeholder
        self.suggester = SuggestFromList(field.kind.choices) if field.kind.choices else None
        self.action_select_all()

    def action_step(self, step: int) -> None:
        """Ask for the next value."""
        self.post_message(self.Stepped(step))

    def action_go(self, step: int) -> None:
        """Ask for another field."""
        self.post_message(self.Left(step))


class FieldColumns(LineWidget):
    """Paints the fields of a form in columns."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "field-columns--label",
        "field-columns--placeholder",
        "field-columns--error",
    }

    @dataclass
    class Picked(Message):
        """A field was clicked."""

        index: int

    def __init__(self) -> None:
        super().__init__()
        self._form: Form | None = None
        self.columns = 2

    def show(self, form: Form) -> None:
        """Paint the fields of a form."""
        self._form = form
        self.set_columns(self.columns)

    def set_columns(self, columns: int) -> None:
        """Paint the fields in another number of columns."""
        self.columns = columns
        self.styles.height = self._rows
        self.refresh()

    @property
    def _fields(self) -> list[Field]:
        return self._form.fields if self._form else []

    @property
    def _rows(self) -> int:
        return max(1, -(-len(self._fields) // self.columns))

    def place(self, index: int, width: int) -> Region:
        """Return the cells of a field's value where the form has `width` cells."""
        column, row = divmod(index, self._rows)
        width //= self.columns
        members = self._fields[column * self._rows : (column + 1) * self._rows]
        label = max(len(field.name) for field in members) + 1
        return Region(column * width + label, row, max(1, width - label - GAP), 1)

    def render_line(self, y: int) -> Strip:
        """Paint one field of each column."""
        segments: list[Segment] = []
        at = 0
        for index in range(y, len(self._fields), self._rows):
            field, place = self._fields[index], self.place(index, self.size.width)
            left = index // self._rows * (self.size.width // self.columns)
            wrong = self._form is not None and self._form.error_field == field.name
            segments.append(Segment(" " * (left - at), self.style()))
            label = self.style("field-columns--error" if wrong else "field-columns--label")
            segments.append(Segment(field.name.ljust(place.x - left), label))
            segments.append(self._value(field, place.width))
            at = place.right
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def _value(self, field: Field, width: int) -> Segment:
        text = field.text
        if not text and field.placeholder:
            text = field.placeholder if len(field.placeholder) <= width else EMPTY
        shown = text if len(text) <= width else f"{text[: width - 1]}…"
        style = self.style() if field.text else self.style("field-columns--placeholder")
        return Segment(shown.ljust(width), style)

    def on_click(self, event: events.Click) -> None:
        """Report the field under the pointer."""
        index = event.x * self.columns // max(1, self.size.width) * self._rows + event.y
        if index < len(self._fields):
            self.post_message(self.Picked(index))


class SettingsEditor(VerticalScroll, can_focus=False):
    """The form with its input and a line that explains the field under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False, priority=True)]
    DEFAULT_CSS = """
    SettingsEditor {
        scrollbar-size-vertical: 1;
        FieldColumns { width: 1fr; }
        SettingInput { position: absolute; width: 1; overflow: hidden hidden; }
        #settings-message {
            dock: bottom;
            height: auto;
            color: $faint;
            &.error { color: $bad; text-style: bold; }
        }
        .field-columns--label, .field-columns--placeholder { color: $faint; }
        .field-columns--error { color: $bad; text-style: bold; }
    }
    """

    @dataclass
    class Changed(Message):
        """Something was typed: the values by name (None where a field is empty), as TOML would give them."""

        values: Mapping[str, Any]

    @dataclass
    class Committed(Message):
        """Enter was pressed."""

    @dataclass
    class Cancelled(Message):
        """Escape was pressed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = FieldColumns()
        self._input = SettingInput(compact=True, select_on_focus=False, validate_on=())
        self._message = Static(id="settings-message")
        self._form: Form | None = None

    def compose(self) -> ComposeResult:
        """Yield the fields, the input on top of them, and the message."""
        yield self._columns
        yield self._input
        yield self._message

    def edit(self, form: Form) -> None:
        """Show a form and give it the keys."""
        self._form = form
        self._columns.show(form)
        self._place_input()
        self.focus()

    def set_columns(self, columns: int) -> None:
        """Show the fields in another number of columns."""
        if self._columns.columns != columns:
            self._columns.set_columns(columns)
            self.refresh(layout=True)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Give the keys to the input."""
        self._input.focus(scroll_visible)
        return self

    def go_to(self, index: int) -> None:
        """Move the cursor to the field at `index`."""
        if self._form is not None:
            self._take_text()
            self._form.position = index
            self._place_input()
            self.call_after_refresh(self._scroll_to_input)

    def select(self, name: str) -> None:
        """Move the cursor to the field called `name`."""
        if self._form is not None:
            self.go_to(self._form.index(name))

    def show_message(self) -> None:
        """Show the form's error, or what the field under the cursor means."""
        if self._form is None:
            return
        text = self._form.message
        if text != str(self._message.content):  # a layout costs more than the comparison
            self._message.set_class(text != self._form.current.description, "error")
            self._message.update(Text(text))
            self._columns.refresh()

    def _place_input(self) -> None:
        if self._form is not None:
            self._input.show_field(self._form.current)
            self.refresh(layout=True)
            self.show_message()

    def process_layout(self, placements: list[WidgetPlacement]) -> list[WidgetPlacement]:
        """Put the input on its field in the same round of layout: a second round would be visible."""
        if self._form is None:
            return placements
        width = next(placement.region.width for placement in placements if placement.widget is self._columns)
        place = self._columns.place(self._form.position, width)
        return [
            placement._replace(region=place, absolute=False) if placement.widget is self._input else placement
            for placement in placements
        ]

    def on_resize(self) -> None:
        """Keep the field under the cursor in view."""
        if self._form is not None:
            self._scroll_to_input()

    def _scroll_to_input(self) -> None:
        if self._form is not None:
            place = self._columns.place(self._form.position, self._columns.size.width)
            self.scroll_to_region(place, spacing=Spacing(bottom=self._message.size.height), animate=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Report every keystroke."""
        event.stop()
        self._take_text()

    def _take_text(self) -> None:
        if self._form is not None and self._form.current.text != self._input.value:
            self._form.current.text = self._input.value
            self._columns.refresh()
            self.post_message(self.Changed(self._form.values))

    def on_setting_input_stepped(self, event: SettingInput.Stepped) -> None:
        """Replace the value by the next one."""
        event.stop()
        text = self._form.current.stepped(event.step) if self._form else None
        if text is not None:
            self._input.value = text
            self._input.cursor_position = len(text)

    def on_setting_input_left(self, event: SettingInput.Left) -> None:
        """Go to the next field or the one before; the first follows the last."""
        event.stop()
        if self._form is not None:
            self.go_to((self._form.position + event.step) % len(self._form.fields))

    def on_field_columns_picked(self, event: FieldColumns.Picked) -> None:
        """Go to the field that was clicked."""
        event.stop()
        self.go_to(event.index)
        self.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Report that Enter was pressed."""
        event.stop()
        self.post_message(self.Committed())

    def action_cancel(self) -> None:
        """Report that Escape was pressed."""
        self.post_message(self.Cancelled())
