"""Dropout, of values and of whole channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alexplore.core.settings import number, setting
from alexplore.network.calls import Call
from alexplore.network.changes import Change, MoveBefore
from alexplore.network.layers.base import Extra, Layer, Saved, keras_always
from alexplore.network.shapes import Shape, Shapes, elements, require_map


class Dropout(Layer):
    """While training, set a share `p` of the values to zero and scale the others by 1 / (1 − p)."""

    type = "dropout"
    title = "dropout of values"
    role = "dropout"
    name_stem = "drop"
    random = True
    p: float = setting(number(0, 1), 0.5, "share of the values set to zero")

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(extras=(Extra("its mask", elements(output)),) if 0 < self.p < 1 else ())

    def is_view(self, inputs: Shapes) -> bool:
        """Return whether the output is the input itself, which PyTorch returns if nothing is dropped."""
        return self.p == 0

    def summary(self) -> str:
        return f"p {self.p:g}"

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Dropout", (), {"p": self.p})

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings, whether the model was imported while it was trained or evaluated."""
        return {"p": call.keywords["p"]}

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Dropout", (self.p,), keras_always(self))]


class Dropout2d(Dropout):
    """While training, set a share `p` of the channels to zero and scale the others by 1 / (1 − p).

    Source: PyTorch's `Dropout2d`; Tompson et al. 2015, "Efficient Object Localization Using Convolutional Networks".
    """

    type = "dropout2d"
    title = "dropout of channels"
    torch_operators = ("feature_dropout",)

    def output_shape(self, inputs: Shapes) -> Shape:
        return require_map(self.name, inputs[0])

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(extras=(Extra("the factor of each channel", output[0]),) if 0 < self.p < 1 else ())

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        yield MoveBefore("flatten")

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Dropout2d", (), {"p": self.p})

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.SpatialDropout2D", (self.p,), keras_always(self))]
