"""The JSON Schema of preset files, made from the declarations that read them.

It describes each layer and each table by itself. Errors that only the whole network shows, such as a layer that no
other reads, are found by `read_preset` alone.
"""

from __future__ import annotations

from typing import Any

from alexplore.core.settings import integer, layer_names, list_schema, settings_schema
from alexplore.network.graph import TOWERS
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.base import Layer
from alexplore.network.layers.names import name_schema
from alexplore.network.quantities import LAYER_KEYS, NETWORK_KEYS
from alexplore.presets.preset import WORDS
from alexplore.presets.published import MEASURED, Published
from alexplore.presets.reader import KEYS
from alexplore.presets.recipe import Recipe


def preset_schema() -> dict[str, Any]:
    """Return the schema of a preset file, as JSON Schema of draft 7."""
    values = {
        **{key: {"type": "string"} for key in WORDS},
        "input": list_schema(integer(1).schema, 3, 3),
        "towers": {**TOWERS.schema, "default": 1},
        "layers": list_schema(_any_layer(), 1),
        "training": settings_schema(Recipe),
        "published": list_schema(_published()),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A preset of alexplore",
        "type": "object",
        "properties": {key: {"description": description, **values[key]} for key, description in KEYS.items()},
        "required": ["input", "layers"],
        "additionalProperties": False,
        "definitions": {name: _layer(cls) for name, cls in LAYER_TYPES.items()},
    }


def _any_layer() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"enum": list(LAYER_TYPES)}},
        "required": ["type"],
        "oneOf": [{"$ref": f"#/definitions/{name}"} for name in LAYER_TYPES],
    }


def _layer(cls: type[Layer]) -> dict[str, Any]:
    """Return the schema of a layer of one type; see `read_layer`."""
    settings = settings_schema(cls)
    inputs = {"inputs": {"description": "the layer that it reads", **layer_names(1, 1).schema}}
    return {
        "title": cls.title,
        **settings,
        "properties": {
            "name": name_schema(),
            "type": {"const": cls.type},
            **(inputs if cls.most_inputs == 1 else {}),
            **settings["properties"],
        },
        "required": ["type", *settings["required"]],
    }


def _published() -> dict[str, Any]:
    """Return the schema of a `[[published]]` table; if it names a layer, its quantity must be one of layers."""
    return {
        **settings_schema(Published),
        "if": {"required": ["layer"]},
        "then": {"properties": {"quantity": {"enum": list(LAYER_KEYS)}}},
        "else": {"properties": {"quantity": {"enum": [*NETWORK_KEYS, *MEASURED]}}},
    }
