"""A preset as the text of a file: of a new file, or of an existing one whose comments are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from alexplore.core.settings import SettingError, toml_text
from alexplore.network.layers import read_layer, write_layer
from alexplore.network.layers.base import Layer
from alexplore.presets.preset import WORDS

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.items import Array, Item

    from alexplore.presets.preset import Preset


def preset_values(preset: Preset) -> dict[str, Any]:
    """Return the values of a preset for TOML, without those that are defaults."""
    names = {layer.name for layer in preset.network.layers}
    values = {
        **{key: getattr(preset, key) for key in WORDS},
        **preset.network.to_dict(),
        "training": preset.recipe.to_dict(defaults=False),
        "published": [one.to_dict() for one in preset.published if one.layer is None or one.layer in names],
    }
    return {key: value for key, value in values.items() if value}


def preset_text(preset: Preset) -> str:
    """Return the text of a new preset file, with a line for each layer."""
    values = preset_values(preset)
    layers, training, published = (values.pop(key, ()) for key in ("layers", "training", "published"))
    lines = [f"{key} = {_words(value)}" for key, value in values.items()]
    lines += ["", "layers = [", *(f"  {toml_text(layer)}," for layer in layers), "]", ""]
    if training:
        lines += ["[training]", *(f"{key} = {toml_text(value)}" for key, value in training.items()), ""]
    return "\n".join(lines) + _tables("published", published)


def updated_text(existing: str, preset: Preset) -> str:
    """Return the text of an existing file with the values of this preset; comments, order and layout are kept.

    Raises:
        ValueError: the file is not TOML, or has another layout than `preset_text` gives.
    """
    try:
        document = tomlkit.parse(existing)
        _update(document, preset)
        return tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def _update(document: TOMLDocument, preset: Preset) -> None:
    values = preset_values(preset)
    for key in (*WORDS, "input", "towers"):
        found = document.get(key)
        if key not in values:
            document.pop(key, None)
        elif (found.strip() if isinstance(found, str) else found) != values[key]:
            document[key] = tomlkit.value(_words(values[key]))
    _update_layers(document["layers"], preset.network.layers)
    _update_training(document, values.get("training", {}), preset.recipe.to_dict())
    _update_published(document, values.get("published", []))


def _update_layers(array: Array, layers: Sequence[Layer]) -> None:
    """Replace, insert and delete entries so that `array` holds `layers`; equal entries are not touched."""
    names = [str(entry.get("name", "")) for entry in array]
    if not names:
        raise TypeError("no layers whose layout could be kept")
    changes = SequenceMatcher(None, names, [layer.name for layer in layers], autojunk=False).get_opcodes()
    for _, start, end, first, last in reversed(changes):
        wanted = layers[first:last]
        for position in reversed(range(start + len(wanted), end)):
            del array[position]
        for position, layer in enumerate(wanted, start):
            if position >= end:
                array.insert(position, _item(write_layer(layer)))
            else:
                entry = array[position].unwrap()
                if not _says(entry, layer):
                    array[position] = _item(_changed(entry, layer))


def _says(entry: Mapping[str, Any], layer: Layer) -> bool:
    try:
        return read_layer(entry, "") == layer
    except SettingError:
        return False


def _changed(entry: Mapping[str, Any], layer: Layer) -> dict[str, Any]:
    """Return the entry of a layer that replaces `entry`; keys of the old entry stay, also with default values."""
    settings = layer.settings()
    kept = {key: settings[key] for key in entry if key in settings}
    return {"name": layer.name, "type": layer.type, **kept, **write_layer(layer)}


def _update_training(document: TOMLDocument, values: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """Set [training] to `values`; its other keys get their values in `recipe`, which includes all defaults."""
    if "training" not in document:
        if values:
            document["training"] = tomlkit.item(dict(values))
        return
    table: Any = document["training"]
    for key in list(table):
        if key not in recipe:
            del table[key]
        elif table[key] != recipe[key]:
            table[key] = _item(recipe[key])
    for key, value in values.items():
        if key not in table:
            table[key] = _item(value)


def _update_published(document: TOMLDocument, entries: Sequence[Mapping[str, Any]]) -> None:
    """Set [[published]] to `entries`; the tables are edited in place if there are as many as before."""
    tables: Any = document.get("published", [])
    if len(tables) != len(entries):
        document.pop("published", None)
        if entries:
            document["published"] = tomlkit.parse(_tables("published", entries))["published"]
        return
    for table, entry in zip(tables, entries, strict=True):
        for key in table.keys() - entry.keys():
            del table[key]
        for key, value in entry.items():
            if table.get(key) != value:
                table[key] = _item(value)


def _item(value: Any) -> Item:
    return tomlkit.value(toml_text(value))


def _tables(name: str, tables: Iterable[Mapping[str, Any]]) -> str:
    """Return `[[name]]` tables, with an empty line before each."""
    return "".join(
        "\n".join(["", f"[[{name}]]", *(f"{key} = {toml_text(value)}" for key, value in table.items()), ""])
        for table in tables
    )


def _words(value: Any) -> str:
    """Return a value as TOML; a plain text of several lines stays on several lines."""
    lines = value.split("\n") if isinstance(value, str) else []
    if len(lines) > 1 and all(line.isprintable() and "\\" not in line and '"""' not in line for line in lines):
        return f'"""\n{value}\n"""'
    return toml_text(value)
