"""The ReLU that learns its slope."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from alexplore.core.settings import flag, integer, number, setting
from alexplore.network.calls import Call, Code, unless
from alexplore.network.changes import Change, Produce, Set
from alexplore.network.formula import Formula, join_notes, number_text
from alexplore.network.layers.activations import Activation
from alexplore.network.layers.base import FP32_BYTES, Extra, Layer, Parameters, Saved, Unsupported, keras_always
from alexplore.network.layers.weighted import FROZEN_NOTE
from alexplore.network.shapes import Shape, ShapeError, Shapes


class PReLU(Activation):
    """x where x > 0, else a learned slope · x: one slope, or one for each channel or feature.

    Source: PyTorch's `PReLU`; He et al. 2015, "Delving Deep into Rectifiers".
    """

    type = "prelu"
    lowers_precision = True
    title = "x where x > 0, else a learned slope · x"
    overwritable = True
    num_parameters: int = setting(integer(1), 1, "learned slopes: 1, or one for each channel", brief="{} slopes")
    init: float = setting(number(-1e6, 1e6), 0.25, "every slope before training", brief="from {:g}")
    trainable: bool = setting(flag(), True, "false freezes the layer", brief="frozen")

    def output_shape(self, inputs: Shapes) -> Shape:
        (shape,) = inputs
        if self.num_parameters not in (1, shape[0]):
            what = "channels" if len(shape) == 3 else "features"
            raise ShapeError(f"{self.name} has {self.num_parameters} slopes, its input has {shape[0]} {what}")
        return shape

    def parameters(self, inputs: Shapes) -> Parameters:
        return Parameters(self.num_parameters)

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        """Return the input and, under autocast, the copy of the slopes in the precision of the input."""
        copy = Extra("a copy of its slopes", self.num_parameters, value_bytes, per_batch=True)
        return Saved(inputs=True, extras=(copy,) if value_bytes < FP32_BYTES else ())

    def parameter_formula(self, inputs: Shapes) -> Formula:
        note = "one slope for all values" if self.num_parameters == 1 else "a slope for each channel"
        note = join_notes(note, "" if self.trainable else FROZEN_NOTE)
        return Formula("params", number_text(self.num_parameters), self.num_parameters, note, "num_parameters")

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        yield Set("num_parameters", inputs[0][0])
        yield Set("num_parameters", 1)
        yield Produce(self.num_parameters)

    def tower_share(self, towers: int) -> Layer:
        if self.num_parameters == 1:
            raise Unsupported("its one slope is learned from all towers; set num_parameters to the number of channels")
        return dataclasses.replace(self, num_parameters=self.num_parameters // towers)

    def torch_call(self, inputs: Shapes) -> Call:
        keywords = {"num_parameters": unless(self.num_parameters, 1), "init": unless(self.init, 0.25)}
        return Call("nn.PReLU", (), keywords)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings; a weight that was trained says nothing about `init`."""
        return {"num_parameters": call.keywords["weight"][0]}

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        """Return Keras's layer, whose slopes differ along every axis that is not shared."""
        axes = range(1, len(inputs[0]) + 1)
        shared = [axis for axis in axes if self.num_parameters == 1 or axis < len(inputs[0])]
        keywords = {
            "alpha_initializer": Code(f"keras.initializers.Constant({self.init!r})"),
            "shared_axes": shared or None,
            **keras_always(self),
        }
        return [Call("layers.PReLU", (), keywords)]
