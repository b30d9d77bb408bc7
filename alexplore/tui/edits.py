"""Edits with a form: of a layer's settings, a new layer, the input of the network.

An edit is a value: the settings that its form shows, and a function from the typed values to the edited network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from alexplore.core.settings import (
    SettingError,
    choice,
    integer,
    optional,
    read_value,
    setting,
    setting_fields,
)
from alexplore.network.graph import TOWERS, Network
from alexplore.network.layers import EDITABLE_TYPES, make_layer
from alexplore.network.layers.base import Layer
from alexplore.network.shape_inference import suggest_inputs
from alexplore.tui.form import NAME, Field, Form, given_values

TYPE = "type"  # the field of a layer's type, which is not a setting
TYPES = choice(*EDITABLE_TYPES)

Build = Callable[[Mapping[str, Any]], Network]


@dataclass(frozen=True)
class Edit:
    """An edit of a network: `build` returns the edited network for the values of a form over `settings`.

    `layer_name` is the name of the edited layer, None for an edit of the whole network; `position` is its index in the
    edited network, and `retype` returns the edit that gives the layer another type.
    """

    title: str
    settings: type
    values: Mapping[str, Any]
    build: Build
    layer_name: str | None = None
    position: int | None = None
    retype: Callable[[str, Mapping[str, Any]], Edit] | None = None

    @property
    def layer_type(self) -> str | None:
        """The type of the edited layer, None for an edit of the whole network."""
        return str(getattr(self.settings, "type")) if self.retype else None  # noqa: B009 (mypy knows no such attribute)

    def new_form(self) -> Form:
        """Return a form with the values that the edit starts from."""
        form = Form([self.settings], self.values, self.layer_name)
        if self.layer_type is not None:
            types = Field(TYPE, TYPES, self.layer_type, doc="what the layer does; settings of equal names are kept")
            types.literal = True
            form.fields.insert(form.index(NAME) + 1, types)
            form.position = min(2, len(form.fields) - 1)
        return form

    def network(self, values: Mapping[str, Any]) -> Network:
        """Return the edited network.

        Raises:
            SettingError: a value is not allowed, or one that is not optional is missing.
        """
        if TYPE in values:
            read_value(TYPE, TYPES, values[TYPE])
        given_values(self.settings, values)
        return self.build(values)


@dataclass(frozen=True)
class InputSettings:
    """The settings of a network as a whole."""

    channels: int = setting(integer(1), 3, "channels of the input image")
    height: int = setting(integer(1), 227, "pixels of the input image")
    width: int = setting(integer(1), 227, "pixels of the input image")
    classes: int | None = setting(optional(integer(1)), None, "outputs of the last layer with weights")
    towers: int = setting(TOWERS, 1, "devices that the network is split over")


def layer_edit(network: Network, index: int) -> Edit:
    """Return the edit of the layer at `index`."""
    layer = network.layers[index]
    return _edit_at(network, index, layer)


def new_layer_edit(network: Network, index: int, layer_type: str) -> Edit:
    """Return the edit that inserts a new layer of a type at `index` and sets it up."""
    cls: type[Layer] = EDITABLE_TYPES[layer_type]
    name = network.free_name(f"{cls.name_stem or cls.type}1")
    inputs = {"inputs": suggest_inputs(network, index, cls)} if cls.fewest_inputs > 1 else {}
    layer = cls(name=name, **inputs, **cls.example)
    return _edit_at(network.insert(index, layer), index, layer)


def input_edit(network: Network) -> Edit:
    """Return the edit of the input size, the number of classes and the number of towers."""
    channels, height, width = network.input

    def build(values: Mapping[str, Any]) -> Network:
        changed = network.with_input(values["channels"], values["height"], values["width"])
        changed = changed.with_towers(values["towers"])
        classes = values["classes"]
        return changed if classes in (None, network.classes) else changed.with_classes(classes)

    size = {"channels": channels, "height": height, "width": width}
    values = {**size, "classes": network.classes, "towers": network.towers}
    return Edit("the network · input", InputSettings, values, build)


def _edit_at(network: Network, index: int, layer: Layer) -> Edit:
    """Return the edit of `layer`, which is at `index` of `network`."""

    def build(values: Mapping[str, Any]) -> Network:
        settings = {key: value for key, value in values.items() if key not in (NAME, TYPE)}
        changed = network.change(index, settings)
        return changed if values[NAME] == layer.name else changed.rename(index, values[NAME])

    def retype(layer_type: str, values: Mapping[str, Any]) -> Edit:
        other = _retyped(network, index, EDITABLE_TYPES[layer_type], values)
        return _edit_at(network.replace(index, other), index, other)

    inputs = {"inputs": list(layer.inputs)} if layer.fewest_inputs > 1 else {}
    values = {**inputs, **layer.settings()}
    return Edit(f"{layer.name} · {layer.type}", type(layer), values, build, layer.name, index, retype)


def _retyped(network: Network, index: int, cls: type[Layer], values: Mapping[str, Any]) -> Layer:
    """Return the layer at `index` with another type, and with those of `values` that the type has and allows."""
    layer = network.layers[index]
    given: dict[str, Any] = {}
    for key, field in setting_fields(cls).items():
        if key == "inputs" or values.get(key) is None:
            continue
        with suppress(SettingError):
            given[key] = read_value(key, field.metadata["kind"], values[key])
    given = {**cls.example, **{key: values[key] for key in given}}
    several = cls.most_inputs != 1
    if several and layer.fewest_inputs > 1:
        inputs = {"inputs": list(layer.inputs)}
    elif cls.fewest_inputs > 1:
        inputs = {"inputs": list(suggest_inputs(network, index, cls))}
    else:
        inputs = {"inputs": list(layer.inputs)} if layer.inputs else {}
    try:
        return make_layer(cls, layer.name, {**inputs, **given})
    except SettingError:  # each value is allowed, but not all together
        return make_layer(cls, layer.name, {**inputs, **cls.example})
