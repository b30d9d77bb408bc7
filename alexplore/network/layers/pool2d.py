"""Max and average pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from alexplore.core.settings import Padding, flag, optional, padding, setting, size
from alexplore.network.calls import Call, unless
from alexplore.network.changes import Change, MoveBefore, Set
from alexplore.network.layers.base import Extra, Saved, keras_always
from alexplore.network.layers.sliding import NO_SIDES, KerasSides, Sliding, both, largest_dilation, shortest_sides
from alexplore.network.shapes import Shape, ShapeError, Shapes, elements, require_map
from alexplore.network.windows import Pair, Window, Windows, make_windows, pair, short_size_text

INDEX_BYTES = 8
"""PyTorch's indices are int64."""


class Pool2d(Sliding):
    """The base class of pooling layers."""

    role = "pool"
    name_stem = "pool"
    example = {"kernel_size": 2}  # noqa: RUF012 (a ClassVar of the base class)
    kernel_size: int | Pair = setting(size(1), doc="height and width of the window")
    stride: int | Pair | None = setting(
        optional(size(1)), None, "pixels between windows; the window's size if left out"
    )
    padding: Padding = setting(padding(), 0, "pixels around the input")
    ceil_mode: bool = setting(flag(), False, "round output sizes up: keep a last, partial window", brief="rounds up")

    def windows(self, inputs: Shapes) -> Windows:
        stride = self.kernel_size if self.stride is None else self.stride
        map_size = inputs[0][1:] if self.padding == "same" else None
        return make_windows(self.kernel_size, stride, self.padding, self.window_dilation, self.ceil_mode, map_size)

    @property
    def window_dilation(self) -> int | Pair:
        """Pixels between neighbouring taps of the window."""
        return 1

    def output_shape(self, inputs: Shapes) -> Shape:
        channels, _, _ = require_map(self.name, inputs[0])
        for axis, window in zip(("height", "width"), self.windows(inputs), strict=True):
            if self._pads_too_much(window):
                raise ShapeError(
                    f"{self.name}: padding {max(window.before, window.after)} is more than half of the window's "
                    f"{axis} {window.kernel}"
                )
        return (channels, *self.positions(inputs))

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        if len(inputs[0]) == 1:
            yield MoveBefore("flatten")
            return
        windows = self.windows(inputs)
        if any(map(self._pads_too_much, windows)):
            yield Set("padding", shortest_sides(*map(_at_most_half, windows)))
            yield Set("kernel_size", both(*(max(w.kernel, 2 * max(w.before, w.after)) for w in windows)))
            return
        smaller = both(*map(largest_dilation, windows, inputs[0][1:]))
        dilation = [] if self.window_dilation == 1 else [Set("dilation", smaller)]
        yield from self.window_fixes(inputs, *dilation, Set("ceil_mode", True))

    def _pads_too_much(self, window: Window) -> bool:
        """Return whether the padding is more than PyTorch accepts, half of the window; "same" padding never is."""
        return self.padding != "same" and max(window.before, window.after) > window.kernel // 2

    def stride_text(self) -> str:
        return "" if self.stride is None else f" / {short_size_text(self.stride)}"

    def compared_settings(self) -> dict[str, Any]:
        settings = super().compared_settings()
        settings.setdefault("stride", settings["kernel_size"])
        return settings

    def torch_keywords(self, inputs: Shapes) -> dict[str, Any]:
        """Return the keyword arguments of PyTorch's pooling layers."""
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.torch_padding_setting(inputs),
            "ceil_mode": unless(self.ceil_mode, False),
        }

    def keras_keywords(self) -> dict[str, Any]:
        """Return the keyword arguments of Keras's pooling layers."""
        return {"strides": self.stride, **keras_always(self)}


class MaxPool2d(Pool2d):
    """The largest value in each window. Source: PyTorch's `MaxPool2d`."""

    type = "max_pool2d"
    torch_operators = ("max_pool2d", "max_pool2d_with_indices")
    title = "max pooling"
    pad_value = float("-inf")
    dilation: int | Pair = setting(size(1), 1, "pixels between neighbouring taps of the window")

    @property
    def window_dilation(self) -> int | Pair:
        return self.dilation

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        positions = Extra("where each maximum was", elements(output), INDEX_BYTES)
        return Saved(inputs=True, copied=self.copied_values(inputs), extras=(positions,))

    def torch_call(self, inputs: Shapes) -> Call:
        keywords = {**self.torch_keywords(inputs), "dilation": unless(self.dilation, 1)}
        return Call("nn.MaxPool2d", (), keywords, self.same_comment(inputs))

    def pads_in_pytorch(self, window: Window) -> bool:
        return super().pads_in_pytorch(window) and window.before <= window.kernel // 2

    def torch_padding(self, inputs: Shapes) -> Call | None:
        sides = self.torch_sides(inputs)
        return None if sides is None else Call("nn.ConstantPad2d", (sides, float("-inf")))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        same, sides = self.keras_padding(inputs)
        same = same and self.dilation == 1
        pad = [] if same or sides == NO_SIDES else [Call("PadForMax", (sides,), {"name": pad_name}, helper=PAD_FOR_MAX)]
        if self.dilation != 1:
            windows = self.windows(inputs)
            sizes = (tuple(w.kernel for w in windows), tuple(w.stride for w in windows), pair(self.dilation))
            return [*pad, Call("DilatedMaxPooling2D", sizes, keras_always(self), helper=DILATED_MAX_POOLING)]
        keywords = {"padding": "same" if same else None, **self.keras_keywords()}
        return [*pad, Call("layers.MaxPooling2D", (self.kernel_size,), keywords)]


class AvgPool2d(Pool2d):
    """The mean of each window. Padding given in numbers counts as zeros (PyTorch's `AvgPool2d`); "same" leaves padding
    out of the mean (TensorFlow).
    """

    type = "avg_pool2d"
    title = "average pooling"

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=True, copied=self.copied_values(inputs))

    def torch_call(self, inputs: Shapes) -> Call:
        keywords: Mapping[str, Any] = self.torch_keywords(inputs)
        comment, sides = self.same_comment(inputs), self.torch_sides(inputs)
        if self.padding != "same":
            return Call("nn.AvgPool2d", (), keywords, comment)
        if sides is not None:
            return Call("PaddedAvgPool2d", (sides,), keywords, comment, helper=PADDED_AVERAGE)
        counted = False if keywords["padding"] else None
        return Call("nn.AvgPool2d", (), {**keywords, "count_include_pad": counted}, comment)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings. Without padding, whether padding counts in the mean is left out."""
        given = dict(call.keywords)
        if not any(given.get("padding", ())) and not given.get("ceil_mode", False):
            given.pop("count_include_pad", None)
        return super().operator_settings(Call(call.name, (), given), inputs)

    def torch_padding(self, inputs: Shapes) -> Call | None:
        sides = self.torch_sides(inputs)
        return None if sides is None or self.padding == "same" else Call("nn.ZeroPad2d", (sides,))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        """Return an average pool whose mean counts padding given in numbers, and leaves out all else outside the map.

        Keras's "same" leaves padding out too, but on the torch backend (3.15) not where it is uneven.
        """
        _, reached = self.keras_padding(inputs)
        rows, columns = ((window.before, window.after) for window in self.windows(inputs))
        counted = NO_SIDES if self.padding == "same" else (rows, columns)
        outside: KerasSides = (_beyond(reached[0], counted[0]), _beyond(reached[1], counted[1]))
        pad = [] if counted == NO_SIDES else [Call("layers.ZeroPadding2D", (counted,), {"name": pad_name})]
        if outside == NO_SIDES:
            return [*pad, Call("layers.AveragePooling2D", (self.kernel_size,), self.keras_keywords())]
        return [*pad, Call("MeanInside", (self.kernel_size, outside), self.keras_keywords(), helper=MEAN_INSIDE)]


def _at_most_half(window: Window) -> Pair:
    return min(window.before, window.kernel // 2), min(window.after, window.kernel // 2)


def _beyond(reached: Pair, counted: Pair) -> Pair:
    return reached[0] - counted[0], max(0, reached[1] - counted[1])


PADDED_AVERAGE = '''
class PaddedAvgPool2d(nn.AvgPool2d):
    """An average over each window that leaves the padding (left, right, top, bottom) out."""

    def __init__(self, sides: tuple[int, int, int, int], **settings):
        super().__init__(**settings)
        self.sides = sides

    def forward(self, maps: Tensor) -> Tensor:
        inside = F.pad(torch.ones_like(maps[:1, :1]), self.sides)
        return super().forward(F.pad(maps, self.sides)) / super().forward(inside)

'''
PAD_FOR_MAX = '''
@keras.saving.register_keras_serializable()
class PadForMax(layers.Layer):
    """Padding ((top, bottom), (left, right)) that is never the largest of a window."""

    def __init__(self, sides, **kwargs):
        super().__init__(**kwargs)
        self.sides = sides

    def call(self, maps):
        around = [[0, 0], *map(list, self.sides), [0, 0]]
        return ops.pad(maps, around, constant_values=float("-inf"))

    def get_config(self):
        return {**super().get_config(), "sides": self.sides}

'''
DILATED_MAX_POOLING = '''
@keras.saving.register_keras_serializable()
class DilatedMaxPooling2D(layers.Layer):
    """The largest of values that are `dilation` pixels apart, each (height, width)."""

    def __init__(self, pool_size, strides, dilation, **kwargs):
        super().__init__(**kwargs)
        self.pool_size, self.strides, self.dilation = pool_size, strides, dilation

    def call(self, maps):
        for axis in (1, 2):
            maps = self.largest_along(axis, maps)
        return maps

    def largest_along(self, axis, maps):
        taps, stride = self.pool_size[axis - 1], self.strides[axis - 1]
        dilation = self.dilation[axis - 1]
        starts = range(0, maps.shape[axis] - dilation * (taps - 1), stride)
        values = [
            ops.take(maps, [start + tap * dilation for start in starts], axis=axis)
            for tap in range(taps)
        ]
        return ops.max(ops.stack(values), axis=0)

    def get_config(self):
        names = ("pool_size", "strides", "dilation")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

'''
MEAN_INSIDE = '''
@keras.saving.register_keras_serializable()
class MeanInside(layers.Layer):
    """The mean of each window over the values inside the map, which ((top, bottom), (left, right)) surround."""

    def __init__(self, pool_size, sides, strides=None, **kwargs):
        super().__init__(**kwargs)
        self.pool_size, self.sides, self.strides = pool_size, sides, strides

    def call(self, maps):
        inside = self.means(ops.ones_like(maps[:1, ..., :1]))
        return self.means(maps) / inside

    def means(self, maps):
        maps = ops.pad(maps, [[0, 0], *map(list, self.sides), [0, 0]])
        return ops.average_pool(maps, self.pool_size, self.strides, padding="valid")

    def get_config(self):
        names = ("pool_size", "sides", "strides")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

'''
