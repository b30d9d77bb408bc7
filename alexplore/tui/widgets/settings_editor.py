"""A form over the settings of a dataclass: every key is checked as it is typed, by what presets are checked by.

The form is painted, and one input stands on the setting that has the keys: an input for each would take a quarter of a
second to open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

from alexplore.core.settings import Kind, SettingError, parse_text, read_value, setting_fields, toml_text
from alexplore.tui.widgets.painted import Painted

GAP = 2  # columns between a column of settings and the next


@dataclass
class Field:
    """A setting, and what is typed for it."""

    name: str
    kind: Kind[Any]
    text: str
    placeholder: str = ""
    doc: str = ""

    @property
    def typed(self) -> Any:
        """What is typed, as TOML would give it; a name as it stands; None where nothing is."""
        return self.text.strip() if self.name == "name" else parse_text(self.text)

    def stepped(self, step: int) -> str | None:
        """The next number or the next of the words that are allowed; None where there is none."""
        if self.kind.choices:
            words = self.kind.choices
            at = words.index(self.text) if self.text in words else -1
            return words[(at - step) % len(words)]
        number = parse_text(self.text or self.placeholder)
        if type(number) is int:
            following: int | float = number + step
        elif type(number) is float:
            following = float(f"{number * 2.0**step:.6g}")
        else:
            return None
        try:
            read_value("", self.kind, following)
        except SettingError:
            return None
        return toml_text(following)


class SettingInput(Input):
    """Types the setting that it stands on; Tab goes to the next, the arrows up and down count."""

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
        """Go to another setting."""

        step: int

    def stand_on(self, field: Field) -> None:
        """Show a setting, all of it selected, so that typing replaces it."""
        with self.prevent(Input.Changed):
            self.value = field.text
        self.placeholder = field.placeholder
        self.suggester = SuggestFromList(field.kind.choices) if field.kind.choices else None
        self.action_select_all()

    def action_step(self, step: int) -> None:
        """Ask for the next value."""
        self.post_message(self.Stepped(step))

    def action_go(self, step: int) -> None:
        """Ask for another setting."""
        self.post_message(self.Left(step))


class SettingsForm(Painted):
    """The settings in columns, painted."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"settings-form--label", "settings-form--placeholder"}

    @dataclass
    class Picked(Message):
        """A setting was clicked."""

        index: int

    def __init__(self) -> None:
        super().__init__()
        self._fields: Sequence[Field] = ()
        self._columns = 1

    def show(self, fields: Sequence[Field], columns: int) -> None:
        """Paint some settings."""
        self._fields, self._columns = fields, columns
        self.styles.height = self._rows
        self.refresh()

    @property
    def _rows(self) -> int:
        return max(1, -(-len(self._fields) // self._columns))

    def place(self, index: int, width: int) -> Region:
        """Where a setting's value stands in a form of that width, in cells."""
        column, row = divmod(index, self._rows)
        width //= self._columns
        members = self._fields[column * self._rows : (column + 1) * self._rows]
        label = max(len(field.name) for field in members) + 1
        return Region(column * width + label, row, max(1, width - label - GAP), 1)

    def render_line(self, y: int) -> Strip:
        """One setting of each column."""
        segments: list[Segment] = []
        at = 0
        for index in range(y, len(self._fields), self._rows):
            field, place = self._fields[index], self.place(index, self.size.width)
            left = index // self._rows * (self.size.width // self._columns)
            segments.append(Segment(" " * (left - at), self.style()))
            segments.append(Segment(field.name.ljust(place.x - left), self.style("settings-form--label")))
            style = self.style() if field.text else self.style("settings-form--placeholder")
            text = field.text or field.placeholder
            shown = text if len(text) <= place.width else f"{text[: place.width - 1]}…"
            segments.append(Segment(shown.ljust(place.width), style))
            at = place.right
        return Strip(segments).adjust_cell_length(self.size.width, self.style())

    def on_click(self, event: events.Click) -> None:
        """Tell which setting is under the pointer."""
        index = event.x * self._columns // max(1, self.size.width) * self._rows + event.y
        if index < len(self._fields):
            self.post_message(self.Picked(index))


class SettingsEditor(VerticalScroll, can_focus=False):
    """A form; posts `Changed` with what was typed and `Committed` on Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False, priority=True)]
    DEFAULT_CSS = """
    SettingsEditor {
        scrollbar-size-vertical: 1;
        SettingsForm { width: 1fr; }
        SettingInput { position: absolute; width: 1; overflow: hidden hidden; }
        #settings-message {
            dock: bottom;
            height: auto;
            color: $text-muted;
            &.error { color: $text-error; text-style: bold; }
        }
        .settings-form--label, .settings-form--placeholder { color: $foreground-darken-3; }
    }
    """

    @dataclass
    class Changed(Message):
        """Something was typed: the values by name (None where empty), as TOML would give them."""

        values: Mapping[str, Any]

    @dataclass
    class Committed(Message):
        """Enter was pressed."""

    @dataclass
    class Cancelled(Message):
        """Escape was pressed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._form = SettingsForm()
        self._input = SettingInput(compact=True, select_on_focus=False, validate_on=())
        self._message = Static(id="settings-message")
        self._fields: list[Field] = []
        self._at = 0
        self._error = ""

    def compose(self) -> ComposeResult:
        """The form, the input upon it, and the line that explains."""
        yield self._form
        yield self._input
        yield self._message

    def edit(
        self, classes: Sequence[type], values: Mapping[str, Any], name: str | None = None, columns: int = 2
    ) -> None:
        """Fill the form with the settings of some classes; `name` adds a layer's name on top."""
        self._fields = [Field("name", Kind("a name", str), name)] if name is not None else []
        for cls in classes:
            for key, setting in setting_fields(cls).items():
                value, default = values.get(key), setting.default
                text = value if isinstance(value, str) else toml_text(value)
                placeholder = toml_text(default).strip('"') if isinstance(default, int | float | str) else ""
                self._fields.append(Field(key, setting.metadata["kind"], text, placeholder, setting.metadata["doc"]))
        self._error = ""
        self._form.show(self._fields, columns)
        self._stand_on(1 if name is not None and len(self._fields) > 1 else 0)
        self.focus()

    def focus(self, scroll_visible: bool = True) -> Self:
        """Give the keys to the setting that the input stands on."""
        self._input.focus(scroll_visible)
        return self

    @property
    def values(self) -> dict[str, Any]:
        """What the form holds now."""
        return {field.name: field.typed for field in self._fields}

    def go_to(self, index: int) -> None:
        """Put the input on a setting."""
        self._take()
        self._stand_on(index)
        self.call_after_refresh(self._reveal)

    def _stand_on(self, index: int) -> None:
        self._at = index
        self._input.stand_on(self._fields[index])
        self.refresh(layout=True)
        self._explain()

    def select(self, name: str) -> None:
        """Put the input on the setting of that name."""
        self.go_to(next(index for index, field in enumerate(self._fields) if field.name == name))

    def process_layout(self, placements: list[WidgetPlacement]) -> list[WidgetPlacement]:
        """Put the input where its setting is painted: with the rest, as another round of layout would be seen."""
        if not self._fields:
            return placements
        width = next(placement.region.width for placement in placements if placement.widget is self._form)
        place = self._form.place(self._at, width)
        return [
            placement._replace(region=place, absolute=False) if placement.widget is self._input else placement
            for placement in placements
        ]

    def on_resize(self) -> None:
        """Keep the setting that has the keys in view."""
        if self._fields:
            self._reveal()

    def _reveal(self) -> None:
        place = self._form.place(self._at, self._form.size.width)
        self.scroll_to_region(place, spacing=Spacing(bottom=self._message.size.height), animate=False)

    def complain(self, message: str) -> None:
        """Say what is wrong with what was typed, or with an empty message that nothing is."""
        self._error = message
        self._explain()

    def _explain(self) -> None:
        field = self._fields[self._at]
        text = f"{field.name}: {field.doc}{' · ' if field.doc else ''}{field.kind.allowed}"
        if self._error:
            text = f"✗ {self._error}"
        if text != str(self._message.content):  # laying the form out anew costs more than comparing
            self._message.set_class(bool(self._error), "error")
            self._message.update(Text(text))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass on every keystroke."""
        event.stop()
        self._take()

    def _take(self) -> None:
        field = self._fields[self._at]
        if field.text != self._input.value:
            field.text = self._input.value
            self._form.refresh()
            self.post_message(self.Changed(self.values))

    def on_setting_input_stepped(self, event: SettingInput.Stepped) -> None:
        """Count."""
        event.stop()
        text = self._fields[self._at].stepped(event.step)
        if text is not None:
            self._input.value = text
            self._input.cursor_position = len(text)

    def on_setting_input_left(self, event: SettingInput.Left) -> None:
        """Go to the next setting or the one before; the last is followed by the first."""
        event.stop()
        self.go_to((self._at + event.step) % len(self._fields))

    def on_settings_form_picked(self, event: SettingsForm.Picked) -> None:
        """Go to the setting that was clicked."""
        event.stop()
        self.go_to(event.index)
        self.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter commits."""
        event.stop()
        self.post_message(self.Committed())

    def action_cancel(self) -> None:
        """Escape leaves everything as it was."""
        self.post_message(self.Cancelled())
