"""The edits that are made with a form: a layer's settings, a new layer, the input of the network.

An edit is a value: the settings that its form shows, and a function from what is typed to the edited network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.core.settings import integer, optional, setting
from alexplore.network.graph import TOWERS, Network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.base import Layer
from alexplore.network.shape_inference import suggest_inputs
from alexplore.tui.form import NAME, Form, given_values

Build = Callable[[Mapping[str, Any]], Network]


@dataclass(frozen=True)
class Edit:
    """An edit of a network: `build` returns the edited network for the values of a form over `settings`.

    `layer_name` is the name of the layer that is edited, None for an edit of the whole network; `position` is where
    that layer is in the edited network.
    """

    title: str
    settings: type
    values: Mapping[str, Any]
    build: Build
    layer_name: str | None = None
    position: int | None = None

    def new_form(self) -> Form:
        """Return a form with the values that the edit starts from."""
        return Form([self.settings], self.values, self.layer_name)

    def network(self, values: Mapping[str, Any]) -> Network:
        """Return the edited network.

        Raises:
            SettingError: a value is not allowed, or one that is not optional is missing.
        """
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
    cls: type[Layer] = LAYER_TYPES[layer_type]
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
        settings = {key: value for key, value in values.items() if key != NAME}
        changed = network.change(index, settings)
        return changed if values[NAME] == layer.name else changed.rename(index, values[NAME])

    inputs = {"inputs": list(layer.inputs)} if layer.fewest_inputs > 1 else {}
    values = {**inputs, **layer.settings()}
    return Edit(f"{layer.name} · {layer.type}", type(layer), values, build, layer.name, index)
