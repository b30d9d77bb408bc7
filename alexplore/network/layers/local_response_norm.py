"""Local response normalisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from alexplore.core.settings import choice, integer, number, setting
from alexplore.network.calls import Call, unless
from alexplore.network.changes import Change, MoveBefore, Set
from alexplore.network.layers.base import FP32_BYTES, Extra, Layer, Saved, Unsupported, keras_always
from alexplore.network.layers.weighted import nearest_divisor
from alexplore.network.shapes import Shape, ShapeError, Shapes, elements, require_map
from alexplore.network.windows import Window, Windows


class LocalResponseNorm(Layer):
    """b = a / (k + alpha / n · Σ a²)^beta over n neighbours (paper, section 3.3; PyTorch divides alpha by n).

    `region` names the neighbours as Caffe does: `size` channels at one position, or a `size`×`size` window within one
    channel, where alpha is divided by size². `groups` normalises inside each group of channels alone.
    """

    type = "local_response_norm"
    title = "local response normalisation"
    role = "norm"
    name_stem = "norm"
    example = {"size": 5}  # noqa: RUF012 (a ClassVar of the base class)
    size: int = setting(integer(1), doc="neighbours, or the window's side within a channel")
    alpha: float = setting(number(0), 1e-4, "scale; divided by the number of neighbours")
    beta: float = setting(number(0), 0.75, "exponent")
    k: float = setting(number(0), 1.0, "added before the exponent")
    groups: int = setting(integer(1), 1, "groups of channels normalised apart", brief="{} groups")
    region: str = setting(
        choice("across_channels", "within_channel"), "across_channels", "which neighbours", brief="within a channel"
    )

    def output_shape(self, inputs: Shapes) -> Shape:
        channels, _, _ = require_map(self.name, inputs[0])
        if channels % self.groups:
            raise ShapeError(f"{self.name}: {channels} channels don't divide into {self.groups} groups")
        return inputs[0]

    def windows(self, inputs: Shapes) -> Windows | None:
        if self.region == "across_channels":
            return None
        window = Window(self.size, 1, 1, self.size // 2, (self.size - 1) // 2)
        return window, window

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        values = elements(output)
        if self.region == "across_channels":
            return Saved(inputs=True, extras=(Extra("the sums of squares", values),))
        channels, height, width = output
        # A window reaches no further than there are pixels.
        before, after = self.size // 2, (self.size - 1) // 2
        rows, columns = (side + min(before, side - 1) + min(after, side - 1) for side in (height, width))
        padded = channels * rows * columns
        extras = [
            Extra("the squares, padded", padded, FP32_BYTES),
            Extra("the sums of squares", values, FP32_BYTES),
            Extra("the factors", values),
        ]
        if value_bytes < FP32_BYTES:
            extras.append(Extra("its input in fp32", values, FP32_BYTES))
        return Saved(inputs=True, extras=tuple(extras))

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        if len(inputs[0]) == 1:
            yield MoveBefore("flatten")
        else:
            yield Set("groups", nearest_divisor(self.groups, inputs[0][0]))

    def tower_share(self, towers: int) -> Layer:
        if self.region == "within_channel":
            return self
        if self.groups % towers:
            raise Unsupported(f"it normalises across towers; set groups to {towers}")
        return dataclasses.replace(self, groups=self.groups // towers)

    def torch_call(self, inputs: Shapes) -> Call:
        keywords: dict[str, Any] = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        if self.region == "within_channel":
            return Call("NormWithinMap", (), keywords, helper=WITHIN_NORM)
        comment = f"PyTorch divides alpha by size: {self.alpha:g} / {self.size} = {self.alpha / self.size:g}"
        if self.groups > 1:
            return Call("GroupedNorm", (self.groups,), keywords, comment, helper=GROUPED_NORM)
        return Call("nn.LocalResponseNorm", (), keywords, comment)

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        keywords: dict[str, Any] = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        if self.region == "within_channel":
            return [Call("NormWithinMap", (), {**keywords, **keras_always(self)}, helper=KERAS_WITHIN_NORM)]
        keywords |= {"groups": unless(self.groups, 1), **keras_always(self)}
        return [Call("ResponseNorm", (), keywords, helper=KERAS_RESPONSE_NORM)]


GROUPED_NORM = '''
class GroupedNorm(nn.LocalResponseNorm):
    """Local response normalisation inside each of `groups` groups of channels."""

    def __init__(self, groups: int, size: int, alpha: float, beta: float, k: float):
        super().__init__(size, alpha, beta, k)
        self.groups = groups

    def forward(self, maps: Tensor) -> Tensor:
        group = maps.shape[1] // self.groups
        apart = maps.reshape(-1, group, *maps.shape[2:])
        return super().forward(apart).reshape(maps.shape)

'''
WITHIN_NORM = '''
class NormWithinMap(nn.Module):
    """a / (k + alpha · mean of a² over a size×size window of the same map)^beta."""

    def __init__(self, size: int, alpha: float, beta: float, k: float):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, maps: Tensor) -> Tensor:
        before, after = self.size // 2, (self.size - 1) // 2
        squares = F.pad(maps.square(), (before, after, before, after))
        means = F.avg_pool2d(squares, self.size, stride=1)
        return maps / (self.k + self.alpha * means) ** self.beta

'''
KERAS_RESPONSE_NORM = '''
@keras.saving.register_keras_serializable()
class ResponseNorm(layers.Layer):
    """a / (k + alpha · mean of a² over `size` neighbouring channels of a group)^beta."""

    def __init__(self, size, alpha, beta, k, groups=1, **kwargs):
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.groups = groups

    def call(self, maps):
        shape = ops.shape(maps)
        channels = maps.shape[-1] // self.groups
        squares = ops.reshape(ops.square(maps), (*shape[:-1], self.groups, channels))
        around = [[0, 0]] * 4 + [[self.size // 2, (self.size - 1) // 2]]
        squares = ops.pad(squares, around)
        sums = sum(squares[..., i : i + channels] for i in range(self.size))
        scale = self.k + self.alpha / self.size * ops.reshape(sums, shape)
        return maps / scale**self.beta

    def get_config(self):
        names = ("size", "alpha", "beta", "k", "groups")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

'''
KERAS_WITHIN_NORM = '''
@keras.saving.register_keras_serializable()
class NormWithinMap(layers.Layer):
    """a / (k + alpha · mean of a² over a size×size window of the same map)^beta."""

    def __init__(self, size, alpha, beta, k, **kwargs):
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, maps):
        around = [self.size // 2, (self.size - 1) // 2]
        squares = ops.pad(ops.square(maps), [[0, 0], around, around, [0, 0]])
        means = ops.average_pool(squares, self.size, strides=1, padding="valid")
        return maps / (self.k + self.alpha * means) ** self.beta

    def get_config(self):
        names = ("size", "alpha", "beta", "k")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

'''
