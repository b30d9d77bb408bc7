"""A form over the settings of a dataclass: every key is checked as it is typed, by what presets are checked by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, VerticalScroll
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

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
        self._error = ""

    def compose(self) -> ComposeResult:
        """The form and the line that explains."""
        yield Grid(id="settings-grid")
        yield Static(id="settings-message")

    async def edit(
        self, classes: Sequence[type], values: Mapping[str, Any], name: str | None = None, focus: str | None = None
    ) -> None:
        """Fill the form with the settings of some classes; `name` adds a layer's name on top."""
        fields = {key: field for cls in classes for key, field in setting_fields(cls).items()}
        self._docs = {key: field.metadata["doc"] for key, field in fields.items()}
        inputs = [SettingInput("name", Kind("a name", str), name, "")] if name is not None else []
        for key, field in fields.items():
            default = field.default if isinstance(field.default, int | float | str) else None
            placeholder = toml_text(default).strip('"')
            inputs.append(SettingInput(key, field.metadata["kind"], values.get(key), placeholder))
        grid = self.query_one("#settings-grid", Grid)
        async with self.batch():
            await grid.remove_children()
            await grid.mount_all(Horizontal(Label(field.name or ""), field, classes="setting") for field in inputs)
        self._error = ""
        wanted = [field for field in inputs if field.name == focus] or inputs[min(1, len(inputs) - 1) if name else 0 :]
        wanted[0].focus()

    @property
    def values(self) -> dict[str, Any]:
        """What the form holds now."""
        values: dict[str, Any] = {}
        for field in self.query(SettingInput):
            assert field.name
            values[field.name] = field.value.strip() if field.name == "name" else parse_text(field.value)
        return values

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
        """Pass on every keystroke."""
        event.stop()
        self.post_message(self.Changed(self.values))

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
