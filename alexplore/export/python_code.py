"""Parts of exported Python code for every library: names, headings, and calls formatted as by ruff."""

from __future__ import annotations

import builtins
import math
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from alexplore.network.calls import Call, Code
from alexplore.network.graph import IMAGE, Network
from alexplore.network.row import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset

IMPORTED = {"self", "torch", "nn", "F", "Tensor", "OrderedDict", "keras", "layers", "ops"}
"""The imports of exported modules, and the arguments of their methods."""

WIDTH = 88  # ruff's and black's default


def class_name(preset: Preset, helpers: str = "") -> str:
    """Return the name of a preset's class: `PaperRelease` for paper-release; none that the module uses already."""
    words = re.findall(r"[A-Za-z0-9]+", preset.name)
    name = "".join(word[0].upper() + word[1:] for word in words) or "Network"
    free = name not in IMPORTED | defined_classes(helpers) and not hasattr(builtins, name)
    return name if name[0].isalpha() and free else f"Net{name}"


def heading(preset: Preset, rows: tuple[Row, ...], to: str) -> str:
    """Return the docstring of an exported module."""
    output = rows[-1].output if rows else preset.network.input
    lines = [
        f"{_plain(preset.title or preset.name)}, {shape_text(preset.network.input)} to {shape_text(output or ())}.",
        f"Source: {_plain(preset.source)}." if preset.source else "",
        f"Written by alexplore: export --preset {_plain(preset.name)} --to {to}",
    ]
    return '"""' + "\n\n".join(textwrap.fill(line, WIDTH) for line in lines if line) + '\n"""\n'


Argument = str | list[str]
"""An argument as code; a list argument as the code of its items."""


def call(name: str, arguments: Iterable[Argument], indent: int, before: str = "", after: str = "") -> str:
    """Return `before name(arguments) after`, on one line where it fits, else with a line for each argument.

    The comma after the last argument keeps it so under any line length.
    """
    return _bracketed(f"{before}{name}(", list(arguments), f"){after}", indent)


def assignment(target: str, value: Call | str, indent: int) -> str:
    """Return `target = value`, for a call or an operation, as ruff formats it."""
    if isinstance(value, Call):
        return call(value.name, call_arguments(value), indent, f"{target} = ")
    space = " " * indent
    if len(f"{space}{target} = {value}") <= WIDTH:
        return f"{space}{target} = {value}\n"
    first, *rest = value.split()
    lines = [first, *(f"{operator} {operand}" for operator, operand in zip(rest[::2], rest[1::2], strict=True))]
    if len(f"{space}    {value}") <= WIDTH:
        lines = [value]
    return f"{space}{target} = (\n" + "".join(f"{space}    {line}\n" for line in lines) + f"{space})\n"


def _bracketed(opening: str, items: list[Argument], closing: str, indent: int) -> str:
    """Return items in brackets, on one line where they fit, else with a line and a comma for each."""
    space = " " * indent
    line = f"{space}{opening}{', '.join(map(one_line, items))}{closing}"
    if len(line) <= WIDTH:
        return f"{line}\n"
    lines = (
        _bracketed("[", list(item), "],", indent + 4) if isinstance(item, list) else f"{space}    {item},\n"
        for item in items
    )
    return f"{space}{opening}\n{''.join(lines)}{space}{closing}\n"


def one_line(argument: Argument) -> str:
    """Return an argument on one line."""
    return f"[{', '.join(argument)}]" if isinstance(argument, list) else argument


def call_arguments(made: Call) -> list[Argument]:
    """Return the arguments of a call as they are written."""
    positional: list[Argument] = [
        [_literal(item) for item in value] if isinstance(value, list) else _literal(value) for value in made.arguments
    ]
    return [*positional, *(f"{key}={_literal(value)}" for key, value in made.given.items())]


def _literal(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return f'float("{value}")'
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """Return a Python string in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """Return a text without what can't stand in a docstring."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.replace("\\", "/").replace('"""', "'").split()).rstrip('."')


def helpers_text(calls: Iterable[Call]) -> str:
    """Return the source of the classes that the calls need, each once."""
    return "".join(dict.fromkeys(made.helper for made in calls if made.helper))


def variables(network: Network, images: str, helpers: str) -> dict[int, str]:
    """Return the variable that holds each layer's output in a function that calls layers one after another.

    It is `x` where only the next layer reads it, else the layer's name, with a number where the function uses that name
    for something else: a class of `helpers`, a module, a function of Python. `IMAGE` is called `images`.
    """
    found, used = {IMAGE: images}, {images, "x", *IMPORTED, *defined_classes(helpers)}
    for position, layer in enumerate(network.layers):
        if network.readers[position] in ((), (position + 1,)):
            found[position] = "x"
        elif layer.name in used or hasattr(builtins, layer.name):
            found[position] = network.free_name(layer.name)
        else:
            found[position] = layer.name
    return found


def defined_classes(helpers: str) -> set[str]:
    """Return the names of the classes whose source is `helpers`."""
    return set(re.findall(r"^class (\w+)", helpers, re.MULTILINE))
