"""A validator for the part of JSON Schema that we write, so that the tests need no package for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def errors(value: Any, schema: Schema, root: Schema | None = None, where: str = "") -> Iterator[str]:
    """Yield the errors in a value, with their places; raise a `KeyError` for a keyword that is not known here."""
    root = schema if root is None else root
    for keyword, argument in schema.items():
        if keyword in ANNOTATIONS:
            continue
        if keyword in STRUCTURE:
            yield from STRUCTURE[keyword](value, argument, schema, root, where)
        elif not RULES[keyword](value, argument):
            yield f"{where}: {value!r} does not fit {keyword} {argument!r}"


ANNOTATIONS = {"$schema", "title", "description", "default", "definitions", "then", "else"}

TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def _number(rule: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: not TYPES["number"](value) or rule(value, bound)


def _length(kind: type[str] | type[list[Any]], rule: Callable[[int, int], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: not isinstance(value, kind) or rule(len(value), bound)


RULES: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda value, name: TYPES[name](value),
    "enum": lambda value, allowed: value in allowed,
    "const": lambda value, only: value == only,
    "minimum": _number(lambda value, bound: value >= bound),
    "maximum": _number(lambda value, bound: value <= bound),
    "exclusiveMinimum": _number(lambda value, bound: value > bound),
    "exclusiveMaximum": _number(lambda value, bound: value < bound),
    "minLength": _length(str, lambda length, bound: length >= bound),
    "minItems": _length(list, lambda length, bound: length >= bound),
    "maxItems": _length(list, lambda length, bound: length <= bound),
    "required": lambda value, names: not isinstance(value, dict) or all(name in value for name in names),
    "pattern": lambda value, pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
}


def _properties(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for name in argument if isinstance(value, dict) else ():
        if name in value:
            yield from errors(value[name], argument[name], root, f"{where}.{name}")


def _additional(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    assert argument is False
    for name in value if isinstance(value, dict) else ():
        if name not in schema["properties"]:
            yield f"{where}: unknown key {name}"


def _items(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for position, item in enumerate(value if isinstance(value, list) else ()):
        yield from errors(item, argument, root, f"{where}[{position}]")


def _some(count: Callable[[int], bool]) -> Callable[..., Iterator[str]]:
    def check(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
        found = [list(errors(value, one, root, where)) for one in argument]
        if not count(sum(not one for one in found)):
            yield f"{where}: {value!r} fits {sum(not one for one in found)} of {len(found)}"

    return check


def _reference(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    yield from errors(value, root["definitions"][argument.removeprefix("#/definitions/")], root, where)


def _not(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if not list(errors(value, argument, root, where)):
        yield f"{where}: {value!r} is excluded"


def _if(value: Any, argument: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    branch = "else" if list(errors(value, argument, root, where)) else "then"
    yield from errors(value, schema[branch], root, where)


STRUCTURE: Mapping[str, Callable[..., Iterator[str]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "anyOf": _some(lambda count: count > 0),
    "oneOf": _some(lambda count: count == 1),
    "$ref": _reference,
    "not": _not,
    "if": _if,
}
