"""Adaptive pooling: an output of a fixed size for inputs of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alexplore.core.settings import Kind, integer, list_schema, setting
from alexplore.network.calls import Call
from alexplore.network.changes import Change, MoveBefore
from alexplore.network.formula import Formula, by_axis, number_text
from alexplore.network.layers.base import Extra, Layer, Saved, Unsupported, keras_always
from alexplore.network.layers.pool2d import INDEX_BYTES
from alexplore.network.shapes import Shape, Shapes, elements, require_map
from alexplore.network.windows import Pair, Windows, adaptive_window

OutputSize = int | tuple[int | str, int | str]
"""An integer, or (height, width), where "None" is the input's: TOML has no None."""

NONE = "None"

WHATEVER_THE_INPUT = ("whatever the input", "output_size")
AS_THE_INPUT = ("as its input's", "size of its input")


def _output_size() -> Kind[OutputSize]:
    """Return the kind of output sizes: an integer, or [height, width], where "None" is the input's."""
    integers = integer(1)

    def parse(value: Any) -> OutputSize:
        if not isinstance(value, list | tuple):
            return integers.parse(value)
        height, width = (size if size == NONE else integers.parse(size) for size in value)
        return height if isinstance(height, int) and height == width else (height, width)

    one, side = integers.schema, {"anyOf": [integers.schema, {"const": NONE}]}
    schema = {"anyOf": [one, list_schema(side, 2, 2)]}
    return Kind('an integer ≥ 1 or [height, width], where "None" keeps the input\'s', parse, schema)


def _number_or_none(size: int | str) -> int | None:
    return size if isinstance(size, int) else None


class AdaptivePool2d(Layer):
    """A pool over parts of the input, down or up to `output_size`; an axis of size "None" keeps its size."""

    role = "pool"
    name_stem = "pool"
    fixes_size = True
    example = {"output_size": 6}  # noqa: RUF012 (a ClassVar of the base class)
    output_size: OutputSize = setting(_output_size(), doc="height and width of the output")

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """Height and width of the output, None for the input's: PyTorch's `output_size`."""
        size = self.output_size
        height, width = (size, size) if isinstance(size, int) else size
        return _number_or_none(height), _number_or_none(width)

    def output_shape(self, inputs: Shapes) -> Shape:
        channels, *size = require_map(self.name, inputs[0])
        height, width = (size if own is None else own for own, size in zip(self.sizes, size, strict=True))
        return channels, height, width

    def windows(self, inputs: Shapes) -> Windows:
        _, height, width = self.output_shape(inputs)
        return adaptive_window(inputs[0][1], height), adaptive_window(inputs[0][2], width)

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        height, width = (
            Formula("", number_text(size), size, *(WHATEVER_THE_INPUT if own else AS_THE_INPUT))
            for own, size in zip(self.sizes, output[1:], strict=True)
        )
        yield from by_axis("output", height, width)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings; a mean, or largest value, over height and width is a pool to one pixel."""
        if "output_size" in call.keywords:
            return {"output_size": call.keywords["output_size"]}
        axes = call.keywords.get("dim", ())
        if len(inputs[0]) != 3 or {axis % 4 for axis in axes} != {2, 3}:
            raise Unsupported(f"dim = {list(axes)} are not height and width")
        return {"output_size": 1}

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        yield MoveBefore("flatten")

    def setting_text(self, key: str, value: OutputSize) -> str:
        return "×".join(map(str, self.sizes))

    @property
    def torch_size(self) -> int | tuple[int | None, int | None]:
        """The output's size as PyTorch's layers take it."""
        return self.output_size if isinstance(self.output_size, int) else self.sizes

    def keras_size(self, inputs: Shapes) -> int | Pair:
        """Return the output's size as Keras's layers take it, where the input's is that of this network."""
        if isinstance(self.output_size, int):
            return self.output_size
        _, height, width = self.output_shape(inputs)
        return height, width


class AdaptiveAvgPool2d(AdaptivePool2d):
    """The mean of each part of the input. Source: PyTorch's `AdaptiveAvgPool2d`.

    With `output_size` 1 it is global average pooling.
    """

    type = "adaptive_avg_pool2d"
    torch_operators = ("adaptive_avg_pool2d", "mean")
    title = "average pooling to a size"

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=elements(output) > output[0])  # PyTorch takes a plain mean where the output is 1×1

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.AdaptiveAvgPool2d", (self.torch_size,))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.AdaptiveAveragePooling2D", (self.keras_size(inputs),), keras_always(self))]


class AdaptiveMaxPool2d(AdaptivePool2d):
    """The largest value of each part of the input. Source: PyTorch's `AdaptiveMaxPool2d`.

    With `output_size` 1 it is global max pooling.
    """

    type = "adaptive_max_pool2d"
    torch_operators = ("adaptive_max_pool2d", "amax")
    title = "max pooling to a size"
    overwritable = True

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=True, extras=(Extra("where each maximum was", elements(output), INDEX_BYTES),))

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.AdaptiveMaxPool2d", (self.torch_size,))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.AdaptiveMaxPooling2D", (self.keras_size(inputs),), keras_always(self))]
