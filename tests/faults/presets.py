"""Preset files with every kind of mistake, drawn by hypothesis from the settings that are declared.

Most start from a network that can be built or nearly can, in which a few things are changed: half of all by values that
are allowed by themselves, such as the largest, so that they get as far as the analysis. The others are drawn from
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from alexplore.core.settings import LARGEST, setting_fields, settings_schema
from alexplore.network.layers import LAYER_TYPES
from alexplore.presets.preset import WORDS
from alexplore.presets.published import Published
from alexplore.presets.reader import KEYS
from alexplore.presets.recipe import Recipe
from tests.support.hostile import HOSTILE
from tests.support.networks import networks

Drawn = st.SearchStrategy[Any]
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Raw:
    """A value that is written into the file as it stands."""

    text: str


WORDS_ANYWHERE = ("", " ", "same", "valid", "auto", "None", "input", "conv1", "é", "🦊", "名前", "a" * 2000, HOSTILE)
NUMBERS = (
    0, -1, 1, 2, 3, LARGEST, LARGEST + 1, -LARGEST, 2**63, 10**30, 10**400, 0.0, -0.0, 0.5, 1.0, 1e-320, 1e30, 1e308,
    -1e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
RAW = (
    Raw("9" * 5000), Raw("[" * 90 + "]" * 90), Raw("[" * 3000 + "]" * 3000), Raw("2026-01-01"), Raw("12:00:00"),
    Raw("{ a = " * 60 + "1" + " }" * 60), Raw("1979-05-27T07:32:00Z"), Raw("0x7fffffffffffffff"), Raw("'''\n'''"),
    Raw("= 3"), Raw("[1, 2"), Raw('"\\ud800"'), Raw("\x00"),
)  # fmt: skip
"""The last four are no TOML."""

SIMPLE: Drawn = st.sampled_from(WORDS_ANYWHERE) | st.sampled_from(NUMBERS) | st.booleans() | st.text(max_size=5)
ANYTHING: Drawn = (
    SIMPLE
    | st.sampled_from(RAW)
    | st.lists(SIMPLE, max_size=4)
    | st.lists(st.lists(SIMPLE, max_size=2), max_size=3)
    | st.dictionaries(st.sampled_from(("std", "bias", "name", "type", "é", "")), SIMPLE, max_size=3)
)
"""A value of any type, right or wrong."""


def fitting(schema: Schema) -> Drawn:
    """Return the values that a schema takes, among them the smallest, the largest and some small ones."""
    if "anyOf" in schema:
        return st.one_of([fitting(one) for one in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    return st.sampled_from(schema["enum"]) if "enum" in schema else FITTING[schema["type"]](schema)


def _integers(schema: Schema) -> Drawn:
    low, high = schema["minimum"], schema["maximum"]
    return st.integers(low, min(high, low + 6)) | st.sampled_from([low, high, (low + high) // 2, min(high, 64)])


FITTING: Mapping[str, Callable[[Schema], Drawn]] = {
    "integer": _integers,
    "number": lambda schema: st.sampled_from([1e-30, 1e-3, 0.5, 1.0, 7.0, 1e29]),
    "boolean": lambda schema: st.booleans(),
    "string": lambda schema: st.sampled_from(["conv1", "input", "x", "é"]),
    "array": lambda schema: st.lists(
        fitting(schema["items"]), min_size=schema["minItems"], max_size=schema.get("maxItems", 3)
    ),
    "object": lambda schema: st.fixed_dictionaries(
        {name: fitting(schema["properties"][name]) for name in schema["required"]},
        optional={name: fitting(one) for name, one in schema["properties"].items() if name not in schema["required"]},
    ),
}


def _mostly(right: Drawn, wrong: Drawn = ANYTHING) -> Drawn:
    return st.one_of(*[right] * 9, wrong)


def _settings(cls: type) -> dict[str, Drawn]:
    properties = settings_schema(cls)["properties"]
    return {name: _mostly(fitting(properties[name])) for name in setting_fields(cls)}


SETTINGS: Mapping[type, Mapping[str, Drawn]] = {
    cls: _settings(cls) for cls in (*LAYER_TYPES.values(), Recipe, Published)
}
"""What is drawn for each setting of a class: mostly what its declaration allows."""


@st.composite
def table(draw: st.DrawFn, cls: type, most: int = 4) -> dict[str, Any]:
    """Return a table with some settings of a class, mostly those that it needs among them."""
    needed = settings_schema(cls)["required"]
    names = draw(st.lists(st.sampled_from(list(SETTINGS[cls])), max_size=most)) if SETTINGS[cls] else []
    drawn = {name: draw(SETTINGS[cls][name]) for name in {**dict.fromkeys(needed), **dict.fromkeys(names)}}
    if draw(st.integers(0, 9)) == 0:
        drawn[draw(st.sampled_from(("strides", "lr", "é", "", "__class__", HOSTILE)))] = draw(ANYTHING)
    if drawn and draw(st.integers(0, 9)) == 0:
        del drawn[draw(st.sampled_from(list(drawn)))]
    return drawn


NAMES = ("conv1", "conv1", "fc2", "a", "input", "forward", "class", "x y", "名前", HOSTILE)


@st.composite
def layer(draw: st.DrawFn, names: list[str]) -> Any:
    """Return a layer that may read any of `names`, which may come before it, be itself or come later."""
    if draw(st.integers(0, 19)) == 0:
        return draw(ANYTHING)
    kind = draw(st.sampled_from(list(LAYER_TYPES)))
    entry = {"type": kind, **draw(table(LAYER_TYPES[kind]))}
    if draw(st.booleans()):
        entry["name"] = draw(st.sampled_from(NAMES))
    if draw(st.integers(0, 3)) == 0:
        entry["inputs"] = draw(_mostly(st.lists(st.sampled_from([*names, "input", "nothing"]), max_size=4)))
    return entry


@st.composite
def from_nothing(draw: st.DrawFn) -> dict[str, Any]:
    """Return the values of a preset file of which nothing need be right."""
    names = [f"layer{number}" for number in range(draw(st.integers(1, 6)))]
    values: dict[str, Any] = {
        "input": draw(_mostly(st.lists(st.integers(1, 40), min_size=3, max_size=3))),
        "layers": [
            {"name": name, **entry} if isinstance(entry := draw(layer(names)), dict) else entry for name in names
        ],
    }
    for key in draw(st.lists(st.sampled_from([*KEYS, "lr", "é", HOSTILE]), max_size=2)):
        values[key] = draw(ANYTHING)
    return values


@st.composite
def from_a_network(draw: st.DrawFn, careful: bool) -> dict[str, Any]:
    """Return a preset's values after one to three changes of a network that works, or nearly does.

    Careful changes are allowed by themselves.
    """
    values = draw(networks()).to_dict()
    entries = values["layers"]
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(entries) - 1))
        entry = entries[position]
        match draw(
            st.sampled_from((*["setting"] * 4, "input", "towers", "inputs", "layer", *([] if careful else ["name"])))
        ):
            case "setting":
                kind = LAYER_TYPES[entry["type"]]
                allowed = settings_schema(kind)["properties"]
                if allowed:
                    name = draw(st.sampled_from(list(allowed)))
                    entry[name] = draw(fitting(allowed[name]) if careful else SETTINGS[kind][name])
            case "inputs":
                names = [str(one["name"]) for one in (entries[:position] if careful else entries)]
                count = len(entry.get("inputs", [1])) if careful else draw(st.integers(0, 3))
                drawn = st.sampled_from([*names, "input", *([] if careful else ["nothing"])])
                entry["inputs"] = draw(st.lists(drawn, min_size=count, max_size=count))
            case "name":
                entry["name"] = draw(st.sampled_from(NAMES))
            case "input":
                values["input"] = draw(st.lists(st.sampled_from([1, 2, 3, 227, LARGEST]), min_size=3, max_size=3))
            case "towers":
                values["towers"] = draw(st.integers(1, 64) if careful else _mostly(st.integers(0, 65)))
            case "layer":
                kind = LAYER_TYPES[draw(st.sampled_from(list(LAYER_TYPES)))]
                settings = fitting(settings_schema(kind)) if careful else table(kind)
                entries.insert(position, {"name": f"new{len(entries)}", **draw(settings), "type": kind.type})
    return values


@st.composite
def preset_files(draw: st.DrawFn) -> str:
    """Return the text of a preset file."""
    careful = draw(st.booleans())
    values = draw(from_a_network(careful) if careful or draw(st.booleans()) else from_nothing())
    if not careful:
        for word in draw(st.lists(st.sampled_from(WORDS), max_size=2)):
            values[word] = draw(_mostly(st.sampled_from(WORDS_ANYWHERE)))
        for key in draw(st.sampled_from(((), (), (), (), (), ("input",), ("layers",)))):
            del values[key]
    if draw(st.integers(0, 2)) == 0:
        values["training"] = draw(fitting(settings_schema(Recipe)) if careful else table(Recipe))
    if draw(st.integers(0, 2)) == 0:
        values["published"] = draw(st.lists(table(Published), max_size=2))
    return "".join(f"{toml(str(key))} = {toml(value)}\n" for key, value in values.items())


def toml(value: Any) -> str:
    """Return a value as TOML, written without alexplore's own writer."""
    match value:
        case Raw():
            return value.text
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(_escaped(character) for character in value) + '"'
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{ " + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + " }"
    return str(value)


def _escaped(character: str) -> str:
    if 0xD800 <= ord(character) <= 0xDFFF:
        return "�"  # TOML can't hold it
    return character if character.isprintable() and character not in '"\\' else f"\\U{ord(character):08x}"
