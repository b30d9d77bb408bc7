"""Flattening."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alexplore.network.calls import Call
from alexplore.network.formula import Formula, product_text
from alexplore.network.layers.base import Layer, keras_always
from alexplore.network.shapes import Shape, Shapes, elements, has_one_layout


class Flatten(Layer):
    """A map as one vector, channel after channel. Source: PyTorch's `Flatten`."""

    type = "flatten"
    title = "a map as one vector"
    torch_operators = ("flatten", "view", "reshape", "squeeze", "_unsafe_view")

    def output_shape(self, inputs: Shapes) -> Shape:
        return (elements(inputs[0]),)

    def is_view(self, inputs: Shapes) -> bool:
        """Return whether no copy is made: maps have their channels last in memory, the vector has them first."""
        return has_one_layout(inputs[0])

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        note = "every value of the input, channel after channel"
        yield Formula("output", product_text(inputs[0]), output[0], note, "channels·height·width")

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return no settings: only what gives a vector is a flatten, which its output's shape shows."""
        return {}

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Flatten")

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Flatten", (), keras_always(self))]
