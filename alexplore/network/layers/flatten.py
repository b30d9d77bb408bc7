"""Flattening a map, and making a map of a vector."""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.core.settings import setting
from alexplore.network.calls import Call
from alexplore.network.changes import Change, Insert, Produce, Set
from alexplore.network.formula import Formula, by_axis, number_text, product_text
from alexplore.network.layers.base import Layer, keras_always
from alexplore.network.shapes import MapSize, Shape, ShapeError, Shapes, elements, has_one_layout, map_size, shape_text


class Flatten(Layer):
    """A map as one vector, channel after channel. Source: PyTorch's `Flatten`."""

    type = "flatten"
    title = "a map as one vector"

    def output_shape(self, inputs: Shapes) -> Shape:
        return (elements(inputs[0]),)

    def is_view(self, inputs: Shapes) -> bool:
        """Return whether no copy is made: maps have their channels last in memory, the vector has them first."""
        return has_one_layout(inputs[0])

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        note = "every value of the input, channel after channel"
        yield Formula("output", product_text(inputs[0]), output[0], note, "channels·height·width")

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Flatten")

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Flatten", (), keras_always(self))]


class Unflatten(Layer):
    """A vector as a map, channel after channel: flatten reversed. Source: PyTorch's `Unflatten`, with dim 1."""

    type = "unflatten"
    title = "a vector as a map"
    features_in_any_order = False
    fixes_size = True
    channels_first = True
    needs_all_values = "it makes a map of the whole vector"
    example = {"unflattened_size": (8, 12, 10)}  # noqa: RUF012 (a ClassVar of the base class)
    unflattened_size: MapSize = setting(map_size(), doc="channels, height and width of the map", brief="")

    def output_shape(self, inputs: Shapes) -> Shape:
        (shape,) = inputs
        if len(shape) != 1:
            raise ShapeError(f"{self.name} reads a vector, gets a map of {shape_text(shape)}")
        if elements(self.unflattened_size) != shape[0]:
            raise ShapeError(
                f"{self.name} makes a map of {product_text(self.unflattened_size)} = {elements(self.unflattened_size)} "
                f"values, gets {shape[0]}"
            )
        return self.unflattened_size

    def is_view(self, inputs: Shapes) -> bool:
        """Return whether no copy is made: the vector has the channels first, maps have them last in memory."""
        return has_one_layout(self.unflattened_size)

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        sizes = (Formula("", number_text(size), size, "as set", "unflattened_size") for size in output[1:])
        yield from by_axis("output", *sizes)

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        (shape,) = inputs
        _, height, width = self.unflattened_size
        if len(shape) == 3:
            yield Insert({"type": "flatten"})
        elif shape[0] % (height * width) == 0:
            yield Set("unflattened_size", (shape[0] // (height * width), height, width))
        else:
            yield Set("unflattened_size", (shape[0], 1, 1))
        yield Produce(elements(self.unflattened_size))

    def setting_text(self, key: str, value: MapSize) -> str:
        return shape_text(value)

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Unflatten", (1, self.unflattened_size))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        reshape = Call("layers.Reshape", (self.unflattened_size,), {"name": pad_name})
        return [reshape, Call("layers.Permute", ((2, 3, 1),), keras_always(self))]
