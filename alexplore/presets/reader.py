"""Reading and checking the text of a preset file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexplore.core.settings import SettingError, found_text, nearest, setting_fields
from alexplore.core.toml_files import parse_toml, toml_content
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.presets.preset import WORDS, Preset, PresetError
from alexplore.presets.published import Published, read_published
from alexplore.presets.recipe import Recipe, read_recipe

KEYS = {
    "title": "what the network is called",
    "family": "the group that the preset is listed in, such as alexnet",
    "source": "the paper or the code that the network is from",
    "description": "what is special about it, in one or more paragraphs",
    "input": "channels, height and width of an image",
    "towers": "number of parts that the layers are split into, as on the GPUs of the paper",
    "layers": "the layers in order; each reads the layer before it unless its inputs say otherwise",
    "training": "the recipe: how the network is trained",
    "published": "numbers that the source states, which are compared with ours",
}
"""Every key at the top of a preset file, and what it holds."""


def read_preset(path: Path) -> Preset:
    """Read and check a preset file.

    Raises:
        PresetError: the file can't be read, is not TOML (with the line), or holds something that is not allowed.
    """
    return parse_preset(toml_content(path, PresetError), path)


def parse_preset(content: str, path: Path) -> Preset:
    """Return the preset of a file's text; `path` gives its name, and names it in messages.

    Raises:
        PresetError: the text is not TOML (with the line), or holds something that is not allowed.
    """
    values = parse_toml(content, path, PresetError)
    try:
        return _preset(values, path)
    except SettingError as error:
        raise PresetError(f"{path}: {error}") from None


def _preset(values: Mapping[str, Any], path: Path) -> Preset:
    for key in values:
        if key not in KEYS:
            raise SettingError(f"unknown key {found_text(key)}{_place(key)} Allowed: {', '.join(KEYS)}")
    words = {}
    for key in WORDS:
        value = values.get(key, "")
        if not isinstance(value, str):
            raise SettingError(f"{key}: found {found_text(value)}, allowed: a string")
        words[key] = value.strip()
    network = read_network(values)
    training = values.get("training", {})
    if not isinstance(training, dict):
        raise SettingError(f"training: found {found_text(training)}, allowed: a table")
    try:
        recipe = read_recipe(training)
    except SettingError as error:
        raise SettingError(f"[training]: {error}") from None
    return Preset(path.stem, network, recipe, **words, published=_published(values, network), path=path)


def _place(key: str) -> str:
    """Return the end of an error message: where a key belongs that is not allowed at the top of a file."""
    if key in setting_fields(Recipe):
        return "; it belongs in [training]."
    if key in ("name", "type") or any(key in setting_fields(cls) for cls in LAYER_TYPES.values() if key != "inputs"):
        return "; it belongs in a layer, { name = …, type = … }."
    return nearest(key, KEYS)


def _published(values: Mapping[str, Any], network: Network) -> tuple[Published, ...]:
    entries = values.get("published", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingError("published: allowed: [[published]] tables")
    published = []
    for number_, entry in enumerate(entries, start=1):
        try:
            one = read_published(entry)
            if one.layer is not None:
                network.index(one.layer)
        except SettingError as error:
            raise SettingError(f"[[published]] {number_}: {error}") from None
        published.append(one)
    return tuple(published)
