"""Layers that read several others: sums, products and concatenations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alexplore.core.settings import layer_names, setting
from alexplore.network.calls import Call, Code
from alexplore.network.changes import Change, Insert, Produce
from alexplore.network.formula import Formula, number_text, product_text
from alexplore.network.layers.base import Layer, Saved, Unsupported, keras_always
from alexplore.network.shapes import Shape, ShapeError, Shapes, elements, shape_text


class Merge(Layer):
    """A layer that reads two layers or more."""

    role = "merge"
    fewest_inputs = 2
    most_inputs = None
    overwritable = True
    features_in_any_order = False  # the other inputs may have their features in other orders
    inputs: tuple[str, ...] = setting(layer_names(2), doc="the layers that it reads")

    def shapes_text(self, inputs: Shapes) -> str:
        """Return the shapes of the inputs: conv1a 64×8×8, conv1b 64×4×4."""
        return ", ".join(f"{name} {shape_text(shape)}" for name, shape in zip(self.inputs, inputs, strict=True))


class Elementwise(Merge):
    """A sum or product of values at the same place."""

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        """Yield a projection of an input to the shape of one before it (He et al. 2015, section 3.3, option B)."""
        yield from _flattened(inputs)
        mismatch = self._mismatch(inputs)
        if mismatch is None:
            return
        before, index = mismatch
        wanted, shape = inputs[before], inputs[index]
        if all(map(self.joins, wanted[1:], shape[1:])):
            yield Produce(wanted[0], index)
            yield Produce(shape[0], before)
            if len(shape) == 3:
                yield Insert({"type": "conv2d", "out_channels": wanted[0], "kernel_size": 1}, index)
        else:
            yield from _projections(wanted, shape, index)
            yield from _projections(shape, wanted, before)
            yield from _pooled(inputs)

    def _mismatch(self, inputs: Shapes) -> tuple[int, int] | None:
        """Return the first two inputs of one rank whose shapes do not fit each other, None without any."""
        for index, shape in enumerate(inputs):
            for before, other in enumerate(inputs[:index]):
                if len(shape) == len(other) and not all(map(self.joins, other, shape)):
                    return before, index
        return None

    def joins(self, size: int, other: int) -> bool:
        """Return whether axes of these sizes fit each other."""
        return size == other


class Add(Elementwise):
    """The sum of the values of all inputs, which have one shape."""

    type = "add"
    title = "sum of layers"

    def output_shape(self, inputs: Shapes) -> Shape:
        if any(shape != inputs[0] for shape in inputs):
            raise ShapeError(f"{self.name} adds inputs of one shape, gets {self.shapes_text(inputs)}")
        return inputs[0]

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        note = f"{shape_text(output)}, the sum of {len(inputs)} inputs"
        yield Formula("output", product_text(output), elements(output), note)

    def torch_expression(self, inputs: Sequence[str]) -> str:
        return " + ".join(inputs)

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Add", (), keras_always(self))]


class Mul(Elementwise):
    """The product of the values of all inputs; a C×1×1 map, or a map of one channel, is broadcast over a C×H×W map."""

    type = "mul"
    title = "product of layers"

    def output_shape(self, inputs: Shapes) -> Shape:
        if len({len(shape) for shape in inputs}) == 1:
            sizes = [max(axis) for axis in zip(*inputs, strict=True)]
            if all(size in (1, most) for shape in inputs for size, most in zip(shape, sizes, strict=True)):
                return tuple(sizes)
        raise ShapeError(
            f"{self.name} multiplies inputs of one shape, or of size 1 along an axis, gets {self.shapes_text(inputs)}"
        )

    def joins(self, size: int, other: int) -> bool:
        return size == other or 1 in (size, other)

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(factors=True)

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        note = f"{shape_text(output)}, the product of {len(inputs)} inputs"
        yield Formula("output", product_text(output), elements(output), note)

    def torch_expression(self, inputs: Sequence[str]) -> str:
        return " * ".join(inputs)

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Multiply", (), keras_always(self))]


class Concat(Merge):
    """The channels of maps, or the features of vectors, one input after another."""

    type = "concat"
    title = "channels of layers, one after another"
    torch_operators = ("cat",)
    needs_all_values = "the channels of a tower would not lie next to each other"

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        yield from _flattened(inputs)
        if all(len(shape) == 3 for shape in inputs):
            yield from _pooled(inputs)

    def output_shape(self, inputs: Shapes) -> Shape:
        first = inputs[0]
        if any(len(shape) != len(first) or shape[1:] != first[1:] for shape in inputs):
            what = "maps of one height and width" if len(first) == 3 else "vectors"
            raise ShapeError(f"{self.name} concatenates {what}, gets {self.shapes_text(inputs)}")
        return (sum(shape[0] for shape in inputs), *first[1:])

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        channels = " + ".join(number_text(shape[0]) for shape in inputs)
        positions = product_text(output[1:])
        expression = f"({channels})·{positions}" if positions else channels
        what = "channels" if positions else "features"
        note = f"{shape_text(output)}, the {what} of {len(inputs)} inputs"
        rule = f"sum of {what}" + ("·height·width" if positions else "")
        yield Formula("output", expression, elements(output), note, rule)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return no settings, if the operator concatenates channels or features."""
        dim = call.keywords.get("dim", 0)
        if dim not in (1, -len(inputs[0])):
            raise Unsupported(f"dim = {dim} is not that of the channels or features")
        return {}

    def torch_expression(self, inputs: Sequence[str]) -> Call:
        return Call("torch.cat", ([Code(name) for name in inputs],), {"dim": 1})

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Concatenate", (), keras_always(self))]


def _flattened(inputs: Shapes) -> Iterator[Change]:
    """Yield a flatten layer for the first map, if other inputs are vectors."""
    if len({len(shape) for shape in inputs}) > 1:
        yield Insert({"type": "flatten"}, next(index for index, shape in enumerate(inputs) if len(shape) == 3))


def _pooled(inputs: Shapes) -> Iterator[Change]:
    """Yield an adaptive pool of the first map with another size, to the size of the smallest map."""
    height, width = min((shape[1:] for shape in inputs), key=elements)
    index = next((index for index, shape in enumerate(inputs) if shape[1:] != (height, width)), None)
    if index is not None:
        size = height if height == width else [height, width]
        yield Insert({"type": "adaptive_avg_pool2d", "output_size": size}, index)


def _projections(wanted: Shape, shape: Shape, index: int) -> Iterator[Change]:
    """Yield a 1×1 convolution with a stride that gives a map of `shape` the shape that is wanted."""
    stride = _stride(wanted[1], shape[1]), _stride(wanted[2], shape[2])
    if 0 not in stride:
        entry = {"type": "conv2d", "out_channels": wanted[0], "kernel_size": 1}
        if stride != (1, 1):
            entry["stride"] = stride[0] if stride[0] == stride[1] else list(stride)
        yield Insert(entry, index)


def _stride(wanted: int, size: int) -> int:
    """Return the stride with which a window of one pixel takes `wanted` positions on `size` pixels; 0 without one."""
    stride = -(-size // wanted)
    return stride if (size - 1) // stride + 1 == wanted else 0
