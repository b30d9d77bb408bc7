"""The fully connected layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from alexplore.core.settings import flag, integer, optional, setting, table
from alexplore.network.calls import Call, unless
from alexplore.network.changes import Change, Insert, Produce, Set
from alexplore.network.formula import Formula, number_text
from alexplore.network.layers.base import Layer, Parameters, Saved, Unsupported, keras_always
from alexplore.network.layers.init import Init
from alexplore.network.layers.weighted import Weighted
from alexplore.network.shapes import Shape, ShapeError, Shapes, shape_text


class Linear(Weighted):
    """A fully connected layer. Source: PyTorch's `Linear`."""

    type = "linear"
    title = "fully connected"
    name_stem = "fc"
    produces = "out_features"
    example = {"out_features": 1000}  # noqa: RUF012 (a ClassVar of the base class)
    out_features: int = setting(integer(1), doc="number of neurons", brief="{}")
    bias: bool = setting(flag(), True, "whether each neuron has a bias", brief="no bias")
    in_features: int | None = setting(optional(integer(1)), None, "checked against the input if given", brief="")
    init: Init | None = setting(optional(table(Init)), None, "initial weights and biases", brief="")
    trainable: bool = setting(flag(), True, "false freezes the layer", brief="frozen")

    def output_shape(self, inputs: Shapes) -> Shape:
        (shape,) = inputs
        if len(shape) != 1:
            raise ShapeError(f"{self.name} reads a vector, gets a {shape_text(shape)} map")
        if self.in_features not in (None, shape[0]):
            raise ShapeError(f"{self.name} expects {self.in_features} inputs, gets {shape[0]}")
        return (self.out_features,)

    def parameters(self, inputs: Shapes) -> Parameters:
        return Parameters(inputs[0][0] * self.out_features, self.out_features if self.bias else 0)

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=self.trainable)  # it is read for the weights' gradient alone

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        yield Formula("output", number_text(output[0]), output[0], "", "out_features")

    def kernel_text(self, inputs: Shapes) -> tuple[str, str]:
        return number_text(inputs[0][0]), number_text(self.out_features)

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        (shape,) = inputs
        if len(shape) == 3:
            yield Insert({"type": "flatten"})
        else:
            yield Set("in_features", shape[0])
            yield Produce(self.in_features or shape[0])

    def tower_share(self, towers: int) -> Layer:
        if self.out_features % towers:
            raise Unsupported(f"out_features = {self.out_features} doesn't divide into {towers} towers")
        return dataclasses.replace(self, out_features=self.out_features // towers, in_features=None)

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Linear", (inputs[0][0], self.out_features), {"bias": unless(self.bias, True)})

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings; the operator's weight is (out_features, in_features)."""
        return {"out_features": call.keywords["weight"][0], "bias": "bias" in call.keywords}

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        keywords = {"use_bias": unless(self.bias, True), **self.keras_init(), **keras_always(self)}
        return [Call("layers.Dense", (self.out_features,), keywords)]
