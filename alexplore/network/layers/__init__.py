"""The layer types, and layers as entries of a preset file.

To add a type: one class in a file of this folder, and one line in `LAYER_TYPES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from alexplore.core.settings import SettingError, found_text, layer_names, read_settings, read_value
from alexplore.network.layers.activations import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from alexplore.network.layers.adaptive_pool2d import AdaptiveAvgPool2d, AdaptiveMaxPool2d
from alexplore.network.layers.base import Layer
from alexplore.network.layers.batch_norm import BatchNorm
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.layers.dropout import Dropout, Dropout2d
from alexplore.network.layers.flatten import Flatten, Unflatten
from alexplore.network.layers.group_norm import GroupNorm
from alexplore.network.layers.layer_norm import LayerNorm
from alexplore.network.layers.linear import Linear
from alexplore.network.layers.local_response_norm import LocalResponseNorm
from alexplore.network.layers.merge import Add, Concat, Mul
from alexplore.network.layers.names import ALLOWED, is_layer_name
from alexplore.network.layers.opaque import Opaque
from alexplore.network.layers.pool2d import AvgPool2d, MaxPool2d
from alexplore.network.layers.prelu import PReLU

LAYER_TYPES: Mapping[str, type[Layer]] = {
    cls.type: cls
    for cls in (
        Conv2d,
        MaxPool2d,
        AvgPool2d,
        AdaptiveAvgPool2d,
        AdaptiveMaxPool2d,
        LocalResponseNorm,
        BatchNorm,
        GroupNorm,
        LayerNorm,
        ReLU,
        ReLU6,
        LeakyReLU,
        PReLU,
        ELU,
        GELU,
        SiLU,
        Hardswish,
        Tanh,
        Sigmoid,
        Hardsigmoid,
        Dropout,
        Dropout2d,
        Flatten,
        Unflatten,
        Linear,
        Softmax,
        LogSoftmax,
        Add,
        Mul,
        Concat,
        Opaque,
    )
}


EDITABLE_TYPES: Mapping[str, type[Layer]] = {name: cls for name, cls in LAYER_TYPES.items() if not cls.recorded}
"""The types that a person can add and edit, and that can be trained."""


def read_layer(values: Mapping[str, Any], default_name: str) -> Layer:
    """Return a layer from one entry of a preset file; `default_name` is its name where the entry has none.

    Raises:
        SettingError: an unknown type or key, or a value that is not allowed; the message names the layer.
    """
    if not isinstance(values, Mapping):
        raise SettingError(
            f"layer {default_name}: found {found_text(values)}, allowed: a table with name, type and settings"
        )
    name = values.get("name", default_name)
    if not isinstance(name, str) or not is_layer_name(name):
        raise SettingError(f"layer {default_name}: name: found {found_text(name)}, allowed: {ALLOWED}")
    type_name = values.get("type")
    if not isinstance(type_name, str) or type_name not in LAYER_TYPES:
        hint = _suggested_type(type_name) if isinstance(type_name, str) else "."
        found = "type is missing." if type_name is None else f"unknown type {found_text(type_name)}{hint}"
        raise SettingError(f"layer {name}: {found} Allowed: {', '.join(LAYER_TYPES)}")
    given = {key: value for key, value in values.items() if key not in ("name", "type")}
    return make_layer(LAYER_TYPES[type_name], name, given)


def make_layer(cls: type[Layer], name: str, values: Mapping[str, Any]) -> Layer:
    """Return a layer of a type, with `inputs` and settings from `values`.

    Raises:
        SettingError: an unknown key, or a value that is not allowed; the message names the layer.
    """
    settings = dict(values)
    inputs: tuple[str, ...] = ()
    try:
        if "inputs" in settings and cls.most_inputs == 1:
            inputs = read_value("inputs", layer_names(1, 1), settings.pop("inputs"))
        read = read_settings(cls, settings, _suggested_setting)
    except SettingError as error:
        raise SettingError(f"layer {name} ({cls.type}): {error}") from None
    return cls(name=name, **({"inputs": inputs} if inputs else {}), **read)


def write_layer(layer: Layer) -> dict[str, Any]:
    """Return the entry of a preset file that `read_layer` reads back; settings at their defaults are left out."""
    inputs = {"inputs": list(layer.inputs)} if layer.inputs else {}
    return {"name": layer.name, "type": layer.type, **inputs, **layer.settings(defaults=False)}


def _suggested_type(name: str) -> str:
    from alexplore.network.layers.other_names import suggested_type  # only when something went wrong

    return suggested_type(name, EDITABLE_TYPES)


def _suggested_setting(key: str, known: Iterable[str]) -> str:
    from alexplore.network.layers.other_names import suggested_setting

    return suggested_setting(key, known)
