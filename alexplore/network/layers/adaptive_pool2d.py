"""Adaptive pooling: an output of one size whatever the input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alexplore.core.settings import setting, size
from alexplore.network.calls import Call
from alexplore.network.changes import Change, MoveBefore
from alexplore.network.formula import Formula, by_axis, number_text
from alexplore.network.layers.base import Extra, Layer, Saved, keras_always
from alexplore.network.layers.pool2d import INDEX_BYTES
from alexplore.network.shapes import Shape, Shapes, elements, require_map
from alexplore.network.windows import Pair, Windows, adaptive_window, pair, size_text


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AdaptivePool2d(Layer):
    """A pool over the parts of the input, down or up to `output_size`."""

    role = "pool"
    name_stem = "pool"
    fixes_size = True
    example = {"output_size": 6}  # noqa: RUF012 (a ClassVar of the base class)
    output_size: int | Pair = setting(size(1), doc="height and width of the output")

    def output_shape(self, inputs: Shapes) -> Shape:
        channels, _, _ = require_map(self.name, inputs[0])
        return (channels, *pair(self.output_size))

    def windows(self, inputs: Shapes) -> Windows:
        height, width = pair(self.output_size)
        return adaptive_window(inputs[0][1], height), adaptive_window(inputs[0][2], width)

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        height, width = (
            Formula("", number_text(size), size, "whatever the input", "output_size") for size in output[1:]
        )
        yield from by_axis("output", height, width)

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        yield MoveBefore("flatten")

    def setting_text(self, key: str, value: int | Pair) -> str:
        return size_text(value)


class AdaptiveAvgPool2d(AdaptivePool2d):
    """The mean of each part of the input. Source: PyTorch's `AdaptiveAvgPool2d`.

    With `output_size` 1 it is global average pooling.
    """

    type = "adaptive_avg_pool2d"
    title = "average pooling to a size"

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=elements(output) > output[0])  # PyTorch takes a plain mean where the output is 1×1

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.AdaptiveAvgPool2d", (self.output_size,))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.AdaptiveAveragePooling2D", (self.output_size,), keras_always(self))]


class AdaptiveMaxPool2d(AdaptivePool2d):
    """The largest value of each part of the input. Source: PyTorch's `AdaptiveMaxPool2d`.

    With `output_size` 1 it is global max pooling.
    """

    type = "adaptive_max_pool2d"
    title = "max pooling to a size"
    overwritable = True

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=True, extras=(Extra("where each maximum was", elements(output), INDEX_BYTES),))

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.AdaptiveMaxPool2d", (self.output_size,))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.AdaptiveMaxPooling2D", (self.output_size,), keras_always(self))]
