"""A form over the settings of a dataclass: every key is checked as it is typed, by what presets are checked by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from alexplore.network.settings import Kind, SettingError, parse_text, read_value, setting_fields, toml_text


class SettingInput(Input):
    """One setting; the arrows up and down count or go through the choices."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(1)", "More", show=False),
        Binding("down", "step(-1)", "Less", show=False),
    ]

    def __init__(self, name: str, kind: Kind[Any], value: Any, placeholder: str) -> None:
        shown = toml_text(value)
        super().__init__(
            value=shown.strip('"') if isinstance(value, str) else shown,
            placeholder=placeholder,
            suggester=SuggestFromList(kind.choices) if kind.choices else None,
            name=name,
            compact=True,
            select_on_focus=True,
        )
        self.kind = kind

    @property
    def typed(self) -> Any:
        """What was typed, as TOML would give it; a name as it stands."""
        return self.value.strip() if self.name == "name" else parse_text(self.value)

    def action_step(self, step: int) -> None:
        """The next number, or the next of the words that are allowed."""
        if self.kind.choices:
            words = self.kind.choices
            at = words.index(self.value) if self.value in words else -1
            self.value = words[(at - step) % len(words)]
            return
        number = parse_text(self.value or self.placeholder)
        if type(number) is int:
            stepped: int | float = number + step
        elif type(number) is float:
            stepped = float(f"{number * 2.0**step:.6g}")
        else:
            return
        try:
            read_value("", self.kind, stepped)
        except SettingError:
            return
        self.value = toml_text(stepped)
        self.cursor_position = len(self.value)


class SettingsEditor(VerticalScroll, can_focus=False):
    """Labels and inputs in columns; posts `Changed` with what was typed and `Committed` on Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False, priority=True)]

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

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._docs: dict[str, str] = {}
        self._told: dict[str, Any] = {}
        self._error = ""

    def compose(self) -> ComposeResult:
        """The form and the line that explains."""
        yield Horizontal(id="settings-columns")
        yield Static(id="settings-message")

    async def edit(
        self, classes: Sequence[type], values: Mapping[str, Any], name: str | None = None, columns: int = 2
    ) -> None:
        """Fill the form with the settings of some classes; `name` adds a layer's name on top."""
        fields = {key: field for cls in classes for key, field in setting_fields(cls).items()}
        self._docs = {key: field.metadata["doc"] for key, field in fields.items()}
        inputs = [SettingInput("name", Kind("a name", str), name, "")] if name is not None else []
        for key, field in fields.items():
            default = field.default if isinstance(field.default, int | float | str) else None
            placeholder = toml_text(default).strip('"')
            inputs.append(SettingInput(key, field.metadata["kind"], values.get(key), placeholder))
        self._error = ""
        self._told = {field.name or "": field.typed for field in inputs}
        form = self.query_one("#settings-columns", Horizontal)
        async with self.batch():
            await form.remove_children()
            await form.mount_all(_columns(inputs, columns))
        inputs[1 if name is not None and len(inputs) > 1 else 0].focus()

    @property
    def values(self) -> dict[str, Any]:
        """What the form holds now."""
        return {field.name or "": field.typed for field in self.query(SettingInput)}

    def complain(self, message: str) -> None:
        """Say what is wrong with what was typed, or with an empty message that nothing is."""
        self._error = message
        self._explain()

    def _explain(self) -> None:
        line = self.query_one("#settings-message", Static)
        field = self.app.focused
        line.set_class(bool(self._error), "error")
        if self._error:
            line.update(Text(f"✗ {self._error}"))
        elif isinstance(field, SettingInput) and field.name:
            doc = self._docs.get(field.name, "")
            line.update(Text(f"{field.name}: {doc}{' · ' if doc else ''}{field.kind.allowed}"))
        else:
            line.update("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass on every keystroke; inputs also tell of what they begin with, which is no news."""
        event.stop()
        values = self.values
        if values != self._told:
            self._told = values
            self.post_message(self.Changed(values))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter commits."""
        event.stop()
        self.post_message(self.Committed())

    def on_descendant_focus(self) -> None:
        """Explain the setting that is being typed."""
        self._explain()

    def action_cancel(self) -> None:
        """Escape leaves everything as it was."""
        self.post_message(self.Cancelled())


def _columns(inputs: Sequence[SettingInput], columns: int) -> Iterator[Widget]:
    """One text of labels and one stack of inputs a column: few widgets, so that the form opens at once."""
    rows = -(-len(inputs) // columns)
    for start in range(0, len(inputs), rows):
        column = inputs[start : start + rows]
        labels = Static("\n".join(field.name or "" for field in column), classes="labels", markup=False)
        labels.styles.width = max(len(field.name or "") for field in column) + 1
        yield labels
        yield Vertical(*column, classes="inputs")
