"""A form for the settings of some classes, without a widget: its fields, the cursor, and the typed values.

A form is in one of three states: moving from field to field, editing the value of a field (`entry`), or finding a field
(`search`). The kinds of the settings check the typed values, as they check preset files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from alexplore.core.settings import Kind, SettingError, parse_text, read_value, setting_fields, toml_text
from alexplore.tui.text_entry import TextEntry
from alexplore.tui.word_filter import contains_words

NAME = "name"  # the field of a layer's name, which is not a setting
NOT_SET = "not set"


@dataclass
class Field:
    """One setting and the text typed for it.

    `default` is its default as TOML text, "" without one, and `before` the text when the form was opened. `title` is
    the setting's name in the form, `note` a remark on the value. A `literal` text is the string itself; other texts are
    parsed as TOML. A field that `opens` has a dialog for its value. An integer that `doubles` is stepped to its double
    or its half.
    """

    name: str
    kind: Kind[Any]
    text: str
    default: str = ""
    optional: bool = False
    doc: str = ""
    title: str = ""
    group: str = ""
    note: str = ""
    literal: bool = False
    opens: bool = False
    doubles: bool = False
    before: str = ""

    def __post_init__(self) -> None:
        """Keep the text that the form was opened with."""
        self.before = self.text
        self.title = self.title or self.name

    @property
    def value(self) -> Any:
        """The typed value, parsed as TOML; None if the field is empty, but "" for a required name.

        Names in a list need neither quotes nor brackets: relu4, relu3.
        """
        if self.literal:
            return self.text.strip() or (None if self.optional else "")
        value = parse_text(self.text)
        if isinstance(value, str) and self.kind.schema.get("items") == {"type": "string"}:
            return value.strip("[] ").replace(",", " ").split()
        return value

    @property
    def changed(self) -> bool:
        """Whether the text differs from that when the form was opened."""
        return self.text.strip() != self.before

    @property
    def error(self) -> str:
        """Why the typed value is not allowed, "" if it is."""
        if self.value is None:
            default = toml_text(parse_text(self.default))
            return "" if self.optional else f"{self.name}: {missing_text(self.kind, default)}"
        try:
            read_value(self.name, self.kind, self.value)
        except SettingError as error:
            return str(error)
        return ""

    @property
    def placeholder(self) -> str:
        """What an empty field shows."""
        return NOT_SET if self.optional else ""

    @property
    def description(self) -> str:
        """What the setting means and which values it allows."""
        return f"{self.name}: {self.doc}{' · ' if self.doc else ''}{self.kind.allowed}"

    @property
    def completion(self) -> str:
        """The first choice that starts with the text, "" if none does."""
        return next((choice for choice in self.kind.choices if self.text and choice.startswith(self.text)), "")

    def complete(self) -> None:
        """Complete the text to a choice, if only one begins with it."""
        matching = [choice for choice in self.kind.choices if self.text and choice.startswith(self.text)]
        if len(matching) == 1:
            self.text = matching[0]

    def stepped(self, step: int) -> str | None:
        """Return the choice or number `step` away from the typed one, None if there is none."""
        if self.kind.choices:
            choices = self.kind.choices
            position = choices.index(self.text) if self.text in choices else (-1 if step > 0 else len(choices))
            return choices[(position + step) % len(choices)]
        number = parse_text(self.text or self.default)
        if type(number) is int:
            following: int | float = (number * 2 if step > 0 else number // 2) if self.doubles else number + step
        elif type(number) is float:
            following = float(f"{number * 2.0**step:.6g}")
        else:
            return None
        try:
            read_value("", self.kind, following)
        except SettingError:
            return None
        return toml_text(following)


@dataclass(frozen=True)
class Heading:
    """The line above the fields of a group."""

    group: str


Line = Field | Heading


class Form:
    """The fields of a form in groups, the field under the cursor, and the error of the typed values."""

    def __init__(
        self,
        classes: Sequence[type],
        values: Mapping[str, Any],
        layer_name: str | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Fill in the settings of `classes`; `layer_name` puts a field for a layer's name before them.

        `groups` maps the titles of groups to the names of their fields, in the order of the form. The first group has
        no heading; the others are folded at first.
        """
        self.fields = [_field(name, field, values.get(name)) for cls in classes for name, field in _declared(cls)]
        if layer_name is not None:
            self.fields.insert(0, Field(NAME, Kind("a name", str, {"type": "string"}), layer_name, literal=True))
        self.groups: tuple[str, ...] = tuple(groups or ())
        if groups:
            by_name = {field.name: field for field in self.fields}
            for group, names in groups.items():
                for name in names:
                    by_name[name].group = group
            self.fields = [by_name[name] for names in groups.values() for name in names]
        self.folded = set(self.groups[1:])
        self.position = 1 if layer_name is not None and len(self.fields) > 1 else 0
        self.is_used: Callable[[Field], bool] = lambda _: True  # whether a field is shown
        self.entry: TextEntry | None = None
        self.search: TextEntry | None = None
        self.error = ""
        self.error_field = ""  # the name of the field that `error` is about, "" if it is about several

    @property
    def current(self) -> Field:
        """The field under the cursor, or the last one that was."""
        return self.fields[self.position]

    @property
    def values(self) -> dict[str, Any]:
        """The typed values by name; None for an empty field."""
        return {field.name: field.value for field in self.fields}

    @property
    def changed(self) -> list[Field]:
        """The fields whose text differs from that when the form was opened."""
        return [field for field in self.fields if field.changed]

    @property
    def message(self) -> str:
        """The error, or the description of the field under the cursor; a field's error is shown only on that field."""
        here = self.error and self.error_field in ("", self.current.name)
        return f"✗ {self.error}" if here else self.current.description

    def field(self, name: str) -> Field:
        """Return the field called `name`."""
        return self.fields[self.index(name)]

    def index(self, name: str) -> int:
        """Return the position of the field called `name`."""
        return next(index for index, field in enumerate(self.fields) if field.name == name)

    def error_of(self, field: Field) -> str:
        """Return the error of a field: its value is not allowed, or the form's error is about it."""
        return field.error or (self.error if self.error_field == field.name else "")

    def set_error(self, error: str, field: str = "") -> None:
        """Set the error, and the name of the field that it is about; an empty `error` clears both."""
        self.error = error
        self.error_field = field if error else ""

    # The lines that are shown

    @property
    def lines(self) -> list[Line]:
        """The used fields, with the headings of their groups; during a search only the fields that match."""
        used = [field for field in self.fields if self.is_used(field)]
        if self.search is not None:
            words = self.search.text
            return [field for field in used if contains_words(f"{field.name} {field.title} {field.doc}", words)]
        lines: list[Line] = []
        for group in self.groups or ("",):
            members = [field for field in used if field.group == group]
            if members and group != (self.groups or ("",))[0]:
                lines.append(Heading(group))
            if group not in self.folded:
                lines += members
        return lines

    def members(self, group: str) -> list[Field]:
        """Return the used fields of a group."""
        return [field for field in self.fields if field.group == group and self.is_used(field)]

    def fold(self, group: str, folded: bool) -> None:
        """Hide the fields of a group, or show them."""
        if folded:
            self.folded.add(group)
        else:
            self.folded.discard(group)

    def unfold_into(self, height: int) -> bool:
        """Unfold all groups if their fields fit in `height` lines; return whether they do."""
        headings = sum(bool(self.members(group)) for group in self.groups[1:])
        if sum(map(self.is_used, self.fields)) + headings > height:
            return False
        self.folded.clear()
        return True

    def go_to(self, name: str) -> None:
        """Move the cursor to the field called `name`, unfolding its group."""
        self.position = self.index(name)
        self.fold(self.current.group, folded=False)

    def find(self) -> None:
        """Start to find a field by words."""
        self.search, self._position_before = TextEntry(), self.position

    def end_search(self, *, found: bool) -> None:
        """End the search: at the field under the cursor if it was `found`, else at the field before the search."""
        self.search = None
        self.go_to(self.current.name if found else self.fields[self._position_before].name)

    # Changing values

    def edit(self) -> None:
        """Start to edit the value under the cursor, with all of its text selected."""
        self.entry, self._text_before = TextEntry.of(self.current.text), self.current.text

    def take_entry(self) -> bool:
        """Set the field to the typed text; return whether that changed it."""
        if self.entry is None or self.entry.text == self.current.text:
            return False
        self.put(self.current, self.entry.text)
        return True

    def accept(self) -> bool:
        """End editing; return False, without ending it, if the value is not allowed."""
        self.current.complete()
        if self.entry is not None and self.current.error:
            return False
        self.entry = None
        return True

    def take_back(self) -> bool:
        """End editing and restore the text before it; return whether that changed the text."""
        different = self.current.text != self._text_before
        self.put(self.current, self._text_before)
        self.entry = None
        return different

    def put(self, field: Field, text: str) -> None:
        """Set the text of a field, and clear its error."""
        field.text = text
        if self.error_field in ("", field.name):
            self.set_error("")

    def step(self, step: int) -> bool:
        """Replace the value under the cursor by the next choice or number; return whether there is one."""
        text = self.current.stepped(step)
        if text is None:
            return False
        self.put(self.current, text)
        if self.entry is not None:
            self.entry.put(text)
        return True

    def reset(self, fields: Sequence[Field]) -> bool:
        """Restore the text with which the form was opened; return whether any field changed."""
        changed = [field for field in fields if field.changed]
        for field in changed:
            self.put(field, field.before)
        return bool(changed)


def given_values(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that are settings of `cls` and not empty.

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
            default = "" if field.default is MISSING else toml_text(field.default)
            raise SettingError(f"{name}: {missing_text(field.metadata['kind'], default)}")
    return given


def missing_text(kind: Kind[Any], default: str) -> str:
    """Return why an empty field is not allowed."""
    return f"found nothing, allowed: {kind.allowed}" + (f"; the default is {default}" if default else "")


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
