"""What exported Python code needs for every library: names, headings, and calls formatted as ruff formats them."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from keyword import iskeyword
from typing import Any

from alexplore.network.calls import Call, Code
from alexplore.network.graph import IMAGE, Network
from alexplore.network.row import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset

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


def call_arguments(made: Call) -> list[str]:
    """Return the arguments of a call as they are written."""
    return [*map(_literal, made.arguments), *(f"{key}={_literal(value)}" for key, value in made.given.items())]


def _literal(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return f'float("{value}")'
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A Python string in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """A text that can stand in a docstring."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.replace("\\", "/").replace('"""', "'").split()).rstrip('."')


def helpers_text(calls: Iterable[Call]) -> str:
    """Return the source of the classes that the calls need, each once."""
    return "".join(dict.fromkeys(made.helper for made in calls if made.helper))


RESERVED = {"self", "torch", "nn", "F", "keras", "layers", "ops", "Tensor", "OrderedDict", "x"}


def variables(network: Network, images: str) -> dict[int, str]:
    """Return the variable that holds each layer's output in a function that calls layers one after another.

    It is `x` where only the next layer reads it, else the layer's name. `IMAGE` is called `images`.
    """
    found = {IMAGE: images}
    for position, layer in enumerate(network.layers):
        next_alone = network.readers[position] in ((), (position + 1,))
        taken = layer.name in RESERVED or iskeyword(layer.name) or layer.name == images
        found[position] = "x" if next_alone else f"{layer.name}_" if taken else layer.name
    return found
