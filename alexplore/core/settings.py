"""Declarations of settings: the allowed values, used to read preset files, check edits and label editors.

A settings class is a frozen dataclass whose fields are made with `setting(kind, default)`. The kind knows how to read
a value as TOML gives it and how to say what is allowed.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from alexplore.core.errors import WrongUseError

T = TypeVar("T")


JSONSchema = Mapping[str, Any]
"""A JSON Schema of draft 7, the newest that most editors of TOML files know."""


class SettingError(WrongUseError, ValueError):
    """A setting that can't be used; the message says which, what was found and what is allowed."""


class Kind(NamedTuple, Generic[T]):
    """A kind of value: what is allowed, in words, and how it is read.

    `parse` raises `ValueError` without a message where the value is not of this kind. `schema` says what is allowed as
    a JSON Schema, for editors of preset files.
    """

    allowed: str
    parse: Callable[[Any], T]
    schema: JSONSchema
    choices: tuple[str, ...] = ()


LARGEST_NUMBER = 1e30
"""The largest setting: multiplied by any number of a network, it stays finite in fp32, whose largest is 3.4e38."""

LARGEST = 2**31 - 1  # what PyTorch takes for a size, and small enough for every sum of them to be printed


def integer(minimum: int, maximum: int | None = None) -> Kind[int]:
    """Return the kind of whole numbers from `minimum` to `maximum`, both included; to `LARGEST` without a maximum."""

    def parse(value: Any) -> int:
        if maximum is None:
            return _at_least(value, minimum)
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError
        return value

    schema = {"type": "integer", "minimum": minimum, "maximum": LARGEST if maximum is None else maximum}
    return Kind(f"an integer {_range(minimum, maximum)}", parse, schema)


def number(minimum: float, maximum: float | None = None, *, above: bool = False, below: bool = False) -> Kind[float]:
    """Return the kind of finite numbers between the bounds; `above` and `below` exclude the bound itself.

    Without a maximum it is `LARGEST_NUMBER`; only messages about larger numbers mention it.
    """

    def parse(value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError
        if value < minimum or (above and value == minimum):
            raise ValueError
        if maximum is None and value > LARGEST_NUMBER:
            raise SettingError(f"found {found_text(value)}, allowed: at most {LARGEST_NUMBER:g}")
        if maximum is not None and (value > maximum or (below and value == maximum)):
            raise ValueError
        return float(value)

    schema = {"type": "number", "exclusiveMinimum" if above else "minimum": minimum}
    if maximum is not None:
        schema["exclusiveMaximum" if below else "maximum"] = maximum
    return Kind(f"a number {_range(minimum, maximum, '>' if above else '≥', '<' if below else '≤')}", parse, schema)


def numbers() -> Kind[int | float | tuple[int | float, ...]]:
    """Return the kind of finite numbers ≥ 0, and lists of them; whole numbers stay exact."""

    def parse(value: Any) -> int | float | tuple[int | float, ...]:
        if isinstance(value, list | tuple):
            return tuple(_amount(item) for item in value)
        return _amount(value)

    amount = {"type": "number", "minimum": 0}
    return Kind("a number ≥ 0, or a list of them", parse, {"anyOf": [amount, list_schema(amount)]})


def flag() -> Kind[bool]:
    """Return the kind of `true` and `false`."""

    def parse(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError
        return value

    return Kind("true or false", parse, {"type": "boolean"}, ("true", "false"))


def text() -> Kind[str]:
    """Return the kind of non-empty strings."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError
        return value

    return Kind("a string", parse, {"type": "string", "minLength": 1})


def texts() -> Kind[tuple[str, ...]]:
    """Return the kind of lists of strings."""

    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError
        return tuple(value)

    return Kind("a list of strings", parse, list_schema({"type": "string"}))


def patterns() -> Kind[tuple[str, ...] | None]:
    """Return the kind of lists of patterns of names, such as "conv*"; an empty list is read as None.

    A string is a list of patterns too, separated by commas or blanks; names contain neither.
    """

    def parse(value: Any) -> tuple[str, ...] | None:
        if value is None:
            return None
        if isinstance(value, str):
            return tuple(value.replace(",", " ").split()) or None
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise ValueError
        return tuple(value) or None

    schema = {"anyOf": [{"type": "string"}, list_schema({"type": "string", "minLength": 1})]}
    return Kind('patterns of names, such as "conv*" or ["conv*", "fc6"]', parse, schema)


def choice(*names: str) -> Kind[str]:
    """Return the kind of the given words."""

    def parse(value: Any) -> str:
        if value not in names or not isinstance(value, str):
            raise ValueError
        return value

    return Kind(f"one of {', '.join(names)}", parse, {"enum": list(names)}, names)


def size(minimum: int) -> Kind[int | tuple[int, int]]:
    """Return the kind of sizes: an integer for both axes, or [height, width]."""

    def parse(value: Any) -> int | tuple[int, int]:
        if isinstance(value, list | tuple):
            height, width = (_at_least(v, minimum) for v in value)
            return height if height == width else (height, width)
        return _at_least(value, minimum)

    one = integer(minimum).schema
    return Kind(f"an integer ≥ {minimum} or [height, width]", parse, {"anyOf": [one, list_schema(one, 2, 2)]})


Padding = int | tuple[int, int] | tuple[int, int, int, int] | str


def padding() -> Kind[Padding]:
    """Return the kind of paddings: an integer, [height, width], [left, right, top, bottom], "valid" or "same"."""

    def parse(value: Any) -> Padding:
        if isinstance(value, str):
            return choice("valid", "same").parse(value)
        if isinstance(value, list | tuple):
            sides = tuple(_at_least(v, 0) for v in value)
            if len(sides) == 4 and sides[0] == sides[1] and sides[2] == sides[3]:
                sides = sides[2], sides[0]
            if len(sides) == 2:
                return sides[0] if sides[0] == sides[1] else sides
            left, right, top, bottom = sides
            return left, right, top, bottom
        return _at_least(value, 0)

    words, one = choice("valid", "same").schema, integer(0).schema
    schema = {"anyOf": [words, one, list_schema(one, 2, 2), list_schema(one, 4, 4)]}
    return Kind('an integer ≥ 0, [height, width], [left, right, top, bottom], "valid" or "same"', parse, schema)


def layer_names(minimum: int = 1, maximum: int | None = None) -> Kind[tuple[str, ...]]:
    """Return the kind of lists of `minimum` to `maximum` layer names."""

    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise ValueError
        if len(value) < minimum or (maximum is not None and len(value) > maximum):
            raise ValueError
        return tuple(value)

    count = f"{minimum} or more" if maximum is None else str(minimum)
    schema = list_schema({"type": "string"}, minimum, maximum)
    return Kind(f"a list of {count} layer name{'s' if maximum != 1 else ''}", parse, schema)


def table(cls: type[T]) -> Kind[T]:
    """Return the kind of tables with settings of their own, such as `init = { std = 0.01, bias = 1 }`."""
    keys = ", ".join(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]

    def parse(value: Any) -> T:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ValueError  # noqa: TRY004 (the one error of a kind)
        return cls(**read_settings(cls, value))

    return Kind(f"a table with {keys}", parse, settings_schema(cls))


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return the kind of settings that may be left out."""
    return Kind(kind.allowed, lambda value: None if value is None else kind.parse(value), kind.schema, kind.choices)


def setting(kind: Kind[T], default: Any = MISSING, doc: str = "", brief: str | None = None) -> Any:
    """Declare a dataclass field that holds a value of `kind`; without a default it is required.

    `brief` is how a value other than the default is written in one line of a table: `"{} groups"`; "" leaves it out,
    None writes name and value.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc, "brief": brief})


def setting_fields(cls: type) -> Mapping[str, dataclasses.Field[Any]]:
    """Return the settings of a class by name, in the order in which they are declared."""
    return _find_setting_fields(cls)


@cache
def _find_setting_fields(cls: type) -> Mapping[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls) if "kind" in field.metadata}


def read_settings(
    cls: type, values: Mapping[str, Any], suggest: Callable[[str, Iterable[str]], str] | None = None
) -> dict[str, Any]:
    """Check `values` against the settings of `cls` and return them as its fields hold them.

    `suggest(key, known)` returns the end of a sentence that says which known key was meant; the default is `nearest`.

    Raises:
        SettingError: an unknown key (with the nearest known one), a value that is not allowed, or one that is missing.
    """
    fields = setting_fields(cls)
    for key in values:
        if key not in fields:
            hint = (suggest or nearest)(key, fields)
            raise SettingError(f"unknown key {found_text(key)}{hint} Allowed: {', '.join(fields)}")
    for name, field in fields.items():
        if field.default is MISSING and name not in values:
            raise SettingError(f"{name} is missing. Allowed: {field.metadata['kind'].allowed}")
    return {key: read_value(key, fields[key].metadata["kind"], value) for key, value in values.items()}


def read_value(key: str, kind: Kind[T], value: Any) -> T:
    """Read one value of a kind, or raise `SettingError` with the key, what was found and what is allowed."""
    try:
        return kind.parse(value)
    except SettingError as error:
        raise SettingError(f"{key}: {error}") from None
    except (ValueError, TypeError, OverflowError):
        raise SettingError(f"{key}: found {found_text(value)}, allowed: {kind.allowed}") from None


def settings_of(instance: object, *, defaults: bool = True) -> dict[str, Any]:
    """Return the settings of an instance as TOML and JSON hold them: tuples as lists, without those that are None.

    With `defaults=False` those that have their default value are skipped too.
    """
    values = {}
    for name, field in setting_fields(type(instance)).items():
        value = getattr(instance, name)
        if value is not None and (defaults or value != field.default):
            values[name] = _plain(value)
    return values


def settings_schema(cls: type) -> dict[str, Any]:
    """Return the JSON Schema of a table with the settings of `cls`: what `read_settings` takes."""
    fields = setting_fields(cls)
    return {
        "type": "object",
        "properties": {name: _setting_schema(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.default is MISSING],
        "additionalProperties": False,
    }


def _setting_schema(field: dataclasses.Field[Any]) -> dict[str, Any]:
    kind, doc = field.metadata["kind"], field.metadata["doc"]
    description = {"description": f"{doc}; {kind.allowed}" if doc else kind.allowed}
    default = {} if field.default in (None, MISSING) else {"default": _plain(field.default)}
    return {**description, **kind.schema, **default}


def list_schema(item: JSONSchema, minimum: int = 0, maximum: int | None = None) -> JSONSchema:
    """Return the JSON Schema of lists of `minimum` to `maximum` items."""
    most = {} if maximum is None else {"maxItems": maximum}
    return {"type": "array", "items": item, "minItems": minimum, **most}


OPEN_NUMBER = re.compile(r"(?<![\w.])(?:(\d+)\.|\.(\d+))(?![\d.])")
"""A number with no digits after its point, or none before it."""


def parse_text(text: str) -> Any:
    """Return a value that a person typed, by TOML's grammar; a bare word is a string, an empty text is None.

    Numbers may begin or end with their point, too: .5 and 5. are 0.5 and 5.0.
    """
    text = text.strip()
    if not text:
        return None
    if "\n" in text:
        return text
    for spelling in (text, OPEN_NUMBER.sub(lambda found: f"{found[1] or 0}.{found[2] or 0}", text)):
        try:
            return tomllib.loads(f"value = {spelling}")["value"]
        except (ValueError, KeyError, RecursionError):  # ValueError: not TOML, or an integer of thousands of digits
            continue
    return text


def toml_text(value: Any) -> str:
    """Return a value as TOML writes it, for messages and editors; the inverse of `parse_text`."""
    value = _plain(value)
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case list():
            return "[" + ", ".join(toml_text(item) for item in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{_key(key)} = {toml_text(item)}" for key, item in value.items()) + " }"
        case _:
            return str(value)


def found_text(value: Any) -> str:
    """Return a value as TOML writes it, cut short, for messages."""
    try:
        words = toml_text(value)
    except ValueError:
        return "an integer of thousands of digits"
    except RecursionError:
        return "a value nested too deep"
    return words if len(words) <= LONGEST_FOUND else words[: LONGEST_FOUND - 1] + "…"


LONGEST_FOUND = 80


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: `; did you mean …?` with the nearest known words, or a full stop."""
    import difflib  # only when something went wrong

    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.55)
    return f"; did you mean {' or '.join(close)}?" if close else "."


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return settings_of(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _quoted(text: str) -> str:
    """Return a TOML basic string; its escapes are those of JSON, and that of DEL."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _quoted(key)


def _at_least(value: Any, minimum: int) -> int:
    if type(value) is not int or value < minimum:
        raise ValueError
    if value > LARGEST:
        raise SettingError(f"found {found_text(value)}, allowed: at most {LARGEST}")
    return value


def _amount(value: Any) -> int | float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError
    number: int | float = value
    return number


def _range(minimum: float, maximum: float | None, low: str = "≥", high: str = "≤") -> str:
    return f"{low} {minimum:g}" + ("" if maximum is None else f" and {high} {maximum:g}")
