"""Convolution."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from alexplore.core.settings import Padding, choice, flag, integer, optional, padding, setting, size, table
from alexplore.network.calls import Call, unless
from alexplore.network.changes import Change, MoveBefore, Produce, Resize, Set
from alexplore.network.formula import product_text
from alexplore.network.layers.base import Layer, Parameters, Saved, Unsupported, keras_always
from alexplore.network.layers.init import Init
from alexplore.network.layers.padding_mode import PAD_WITH_MAP, PADDING_MODES, ZEROS, check_padding
from alexplore.network.layers.sliding import NO_SIDES, Sides, Sliding, both, largest_dilation, shortest_sides
from alexplore.network.layers.weighted import Weighted, channels_text, nearest_divisor
from alexplore.network.shapes import Shape, ShapeError, Shapes, require_map
from alexplore.network.windows import Pair, Window, Windows, make_windows, pair, short_size_text


class Conv2d(Sliding, Weighted):
    """A convolution with `out_channels` kernels. Source: PyTorch's `Conv2d`."""

    type = "conv2d"
    title = "convolution"
    name_stem = "conv"
    produces = "out_channels"
    example = {"out_channels": 64, "kernel_size": 3, "padding": 1}  # noqa: RUF012 (a ClassVar of the base class)
    out_channels: int = setting(integer(1), doc="number of kernels", brief="{}")
    kernel_size: int | Pair = setting(size(1), doc="height and width of a kernel")
    stride: int | Pair = setting(size(1), 1, "pixels between neighbouring outputs")
    padding: Padding = setting(padding(), 0, "pixels around the input")
    padding_mode: str = setting(choice(*PADDING_MODES), ZEROS, "what is around the input", brief="{}")
    dilation: int | Pair = setting(size(1), 1, "pixels between neighbouring taps of a kernel")
    groups: int = setting(integer(1), 1, "independent groups of channels", brief="{} groups")
    bias: bool = setting(flag(), True, "whether each kernel has a bias", brief="no bias")
    in_channels: int | None = setting(optional(integer(1)), None, "checked against the input if given", brief="")
    init: Init | None = setting(optional(table(Init)), None, "initial weights and biases", brief="")
    trainable: bool = setting(flag(), True, "false freezes the layer", brief="frozen")

    def windows(self, inputs: Shapes) -> Windows:
        map_size = inputs[0][1:] if self.padding == "same" else None
        return make_windows(self.kernel_size, self.stride, self.padding, self.dilation, False, map_size)

    def output_shape(self, inputs: Shapes) -> Shape:
        channels, height, width = require_map(self.name, inputs[0])
        if self.in_channels not in (None, channels):
            raise ShapeError(f"{self.name} expects {self.in_channels} input channels, gets {channels}")
        for label, count in (("input", channels), ("output", self.out_channels)):
            if count % self.groups:
                raise ShapeError(f"{self.name}: {count} {label} channels don't divide into {self.groups} groups")
        if self.padding_mode != ZEROS:
            check_padding(self.name, self.padding_mode, self.windows(inputs), height, width)
        return (self.out_channels, *self.positions(inputs))

    def parameters(self, inputs: Shapes) -> Parameters:
        height, width = pair(self.kernel_size)
        weights = height * width * (inputs[0][0] // self.groups) * self.out_channels
        return Parameters(weights, self.out_channels if self.bias else 0)

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(inputs=True, copied=self.copied_values(inputs))

    def kernel_text(self, inputs: Shapes) -> tuple[str, str]:
        kernel = (*pair(self.kernel_size), inputs[0][0] // self.groups)
        return product_text(kernel), product_text((self.out_channels,))

    def kernel_note(self, inputs: Shapes) -> str:
        return channels_text(inputs[0][0], self.groups)

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        (shape,) = inputs
        if len(shape) == 1:
            yield MoveBefore("flatten")
        elif self.in_channels not in (None, shape[0]):
            yield Set("in_channels", shape[0])
            yield Produce(self.in_channels or shape[0])
        elif shape[0] % self.groups or self.out_channels % self.groups:
            yield Set("groups", nearest_divisor(self.groups, math.gcd(shape[0], self.out_channels)))
            yield Set("out_channels", max(1, round(self.out_channels / self.groups)) * self.groups)
        elif not self._can_pad(inputs):
            if self.padding != "same":
                yield Set("padding", shortest_sides(*map(self._most_padding, self.windows(inputs), shape[1:])))
            yield Set("padding_mode", "replicate")
            yield Resize(lambda height, width: int(self._can_pad(((1, height, width),))), 1)
        else:
            smaller = both(*map(largest_dilation, self.windows(inputs), shape[1:]))
            yield from self.window_fixes(inputs, Set("dilation", smaller))

    def _can_pad(self, inputs: Shapes) -> bool:
        """Return whether the padding mode can pad a map of this size."""
        _, height, width = inputs[0]
        try:
            check_padding(self.name, self.padding_mode, self.windows(inputs), height, width)
        except ShapeError:
            return False
        return True

    def _most_padding(self, window: Window, size: int) -> Pair:
        most = size + (PADDING_MODES[self.padding_mode].beyond_size or 0)
        return min(window.before, most), min(window.after, most)

    def tower_share(self, towers: int) -> Layer:
        if self.out_channels % towers:
            raise Unsupported(f"out_channels = {self.out_channels} doesn't divide into {towers} towers")
        groups = self.groups // towers if self.groups > 1 else 1
        return dataclasses.replace(self, out_channels=self.out_channels // towers, groups=groups, in_channels=None)

    def stride_text(self) -> str:
        return "" if self.stride == 1 else f" / {short_size_text(self.stride)}"

    def torch_call(self, inputs: Shapes) -> Call:
        padding = self.torch_padding_setting(inputs)
        keywords = {
            "kernel_size": self.kernel_size,
            "stride": unless(self.stride, 1),
            "padding": padding,
            "padding_mode": unless(self.padding_mode, ZEROS) if padding else None,
            "dilation": unless(self.dilation, 1),
            "groups": unless(self.groups, 1),
            "bias": unless(self.bias, True),
        }
        return Call("nn.Conv2d", (inputs[0][0], self.out_channels), keywords, self.same_comment(inputs))

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings; the operator's weight is (out_channels, channels / groups, height, width)."""
        given = dict(call.keywords)
        out_channels, _, *kernel_size = given.pop("weight")
        settings = super().operator_settings(Call(call.name, (), given), inputs)
        return {**settings, "out_channels": out_channels, "kernel_size": kernel_size, "bias": "bias" in given}

    @classmethod
    def padded_settings(cls, settings: dict[str, Any], sides: Sequence[int], mode: str, value: float) -> dict[str, Any]:
        if mode not in PADDING_MODES:
            return super().padded_settings(settings, sides, mode, value)
        return {**super().padded_settings(settings, sides, "constant", cls.pad_value), "padding_mode": mode}

    def padded_sides(self, inputs: Shapes) -> Sides | None:
        height, width = self.windows(inputs)
        sides = width.before, width.after, height.before, height.after
        if self.padding_mode == ZEROS or not any(sides):
            return self.torch_sides(inputs)
        return sides

    def torch_padding(self, inputs: Shapes) -> Call | None:
        sides = self.torch_sides(inputs)
        return None if sides is None else Call(PADDING_MODES[self.padding_mode].torch_pad, (sides,))

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        if max(pair(self.stride)) > 1 and max(pair(self.dilation)) > 1:
            raise Unsupported(f"{self.name} has a stride and a dilation over 1, and Keras's Conv2D takes one of them")
        same, sides = self.keras_padding(inputs)
        same = same and self.padding_mode == ZEROS
        keywords = {
            "strides": unless(self.stride, 1),
            "padding": "same" if same else None,
            "dilation_rate": unless(self.dilation, 1),
            "groups": unless(self.groups, 1),
            "use_bias": unless(self.bias, True),
            **self.keras_init(),
            **keras_always(self),
        }
        if same or sides == NO_SIDES:
            pad = []
        elif self.padding_mode == ZEROS:
            pad = [Call("layers.ZeroPadding2D", (sides,), {"name": pad_name})]
        else:
            pad = [Call("PadWithMap", (sides, self.padding_mode), {"name": pad_name}, helper=PAD_WITH_MAP)]
        return [*pad, Call("layers.Conv2D", (self.out_channels, self.kernel_size), keywords)]
