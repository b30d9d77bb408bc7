"""A form over the settings of some classes, without a widget: what is typed for each setting and where the cursor is.

The kinds that check preset files check what is typed here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from alexplore.core.settings import Kind, SettingError, parse_text, read_value, setting_fields, toml_text

NAME = "name"  # the field of a layer's name, which is no setting
NOT_SET = "not set"


@dataclass
class Field:
    """One setting and the text typed for it. `default` is its default as TOML text, "" without one."""

    name: str
    kind: Kind[Any]
    text: str
    default: str = ""
    optional: bool = False
    doc: str = ""

    @property
    def value(self) -> Any:
        """The typed value as TOML would give it, None where the field is empty; a layer's name is always text."""
        return self.text.strip() if self.name == NAME else parse_text(self.text)

    @property
    def placeholder(self) -> str:
        """What an empty field shows."""
        return NOT_SET if self.optional else ""

    @property
    def description(self) -> str:
        """What the setting means and which values it allows."""
        return f"{self.name}: {self.doc}{' · ' if self.doc else ''}{self.kind.allowed}"

    def stepped(self, step: int) -> str | None:
        """Return the next choice or number, `step` away from what is typed, or None where there is none."""
        if self.kind.choices:
            choices = self.kind.choices
            position = choices.index(self.text) if self.text in choices else -1
            return choices[(position - step) % len(choices)]
        number = parse_text(self.text or self.default)
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


class Form:
    """The fields of a form, the one under the cursor, and what is wrong with what is typed."""

    def __init__(self, classes: Sequence[type], values: Mapping[str, Any], layer_name: str | None = None) -> None:
        """Fill in the settings of `classes`; `layer_name` puts a field for a layer's name before them."""
        self.fields = [_field(name, field, values.get(name)) for cls in classes for name, field in _declared(cls)]
        if layer_name is not None:
            self.fields.insert(0, Field(NAME, Kind("a name", str, {"type": "string"}), layer_name))
        self.position = 1 if layer_name is not None and len(self.fields) > 1 else 0
        self.error = ""
        self.error_field = ""  # the name of the field that `error` is about, "" where it is about several

    @property
    def current(self) -> Field:
        """The field under the cursor."""
        return self.fields[self.position]

    @property
    def values(self) -> dict[str, Any]:
        """The typed values by name; None where a field is empty."""
        return {field.name: field.value for field in self.fields}

    @property
    def message(self) -> str:
        """The error, or what the field under the cursor means; the error of one field is shown only there."""
        here = self.error and self.error_field in ("", self.current.name)
        return f"✗ {self.error}" if here else self.current.description

    def index(self, name: str) -> int:
        """Return the position of the field called `name`."""
        return next(index for index, field in enumerate(self.fields) if field.name == name)

    def set_error(self, error: str, field: str = "") -> None:
        """Set what is wrong, and the name of the field that is wrong; an empty `error` clears both."""
        self.error = error
        self.error_field = field if error else ""


def given_values(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that are settings of `cls` and not empty. An empty optional setting is not set.

    Raises:
        SettingError: a setting that is not optional is empty.
    """
    given = {}
    for name, field in _declared(cls):
        if name not in values:
            continue
        value = values[name]
        if value is not None:
            given[name] = value
        elif field.default is not None:
            default = "" if field.default is MISSING else f"; the default is {toml_text(field.default)}"
            raise SettingError(f"{name}: found nothing, allowed: {field.metadata['kind'].allowed}{default}")
    return given


def _declared(cls: type) -> Sequence[tuple[str, Any]]:
    return tuple(setting_fields(cls).items())


def _field(name: str, declared: Any, value: Any) -> Field:
    default = declared.default
    return Field(
        name=name,
        kind=declared.metadata["kind"],
        text=value if isinstance(value, str) else toml_text(value),
        default=toml_text(default).strip('"') if isinstance(default, int | float | str) else "",
        optional=default is None,
        doc=declared.metadata["doc"],
    )
