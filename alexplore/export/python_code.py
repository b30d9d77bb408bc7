"""What exported Python code needs, whatever the library: names, headings, and calls laid out as ruff lays them out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from alexplore.network.analysis import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset

T = TypeVar("T")

TAKEN = {"GroupedNorm", "NormWithinMap", "PaddedAvgPool2d", "OrderedDict", "Tensor", "F", "None", "True", "False"}
WIDTH = 88  # ruff's and black's default


def class_name(preset: Preset) -> str:
    """`PaperRelease` for paper-release."""
    words = re.findall(r"[A-Za-z0-9]+", preset.name)
    name = "".join(word[0].upper() + word[1:] for word in words) or "Network"
    return name if name[0].isalpha() and name not in TAKEN else f"Net{name}"


def heading(preset: Preset, rows: tuple[Row, ...], to: str) -> str:
    """The docstring of an exported module."""
    output = rows[-1].output if rows else preset.network.input
    lines = [
        f"{_plain(preset.title or preset.name)}, {shape_text(preset.network.input)} to {shape_text(output or ())}.",
        f"Source: {_plain(preset.source)}." if preset.source else "",
        f"Written by alexplore: export --preset {_plain(preset.name)} --to {to}",
    ]
    return '"""' + "\n\n".join(textwrap.fill(line, WIDTH) for line in lines if line) + '\n"""\n'


def call(name: str, arguments: Iterable[str], indent: int, before: str = "", after: str = "") -> str:
    """`before name(arguments) after` on one line where it fits, else with a line for each argument.

    The comma after the last argument keeps it so under any line length.
    """
    arguments = list(arguments)
    space = " " * indent
    line = f"{space}{before}{name}({', '.join(arguments)}){after}"
    if len(line) <= WIDTH:
        return f"{line}\n"
    lines = [f"{space}{before}{name}(", *(f"{space}    {argument}," for argument in arguments), f"{space}){after}"]
    return "\n".join(lines) + "\n"


class Code(str):
    """Text that is code already."""

    __slots__ = ()


def unless(value: T, default: T) -> T | None:
    """A value that has to be said, None for the default."""
    return None if value == default else value


def keywords(settings: Mapping[str, Any]) -> list[str]:
    """The keyword arguments of a call; None is not said."""
    return [f"{key}={_literal(value)}" for key, value in settings.items() if value is not None]


def _literal(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A Python string in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """A text that can stand in a docstring."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.replace("\\", "/").replace('"""', "'").split()).rstrip('."')
