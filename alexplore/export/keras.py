"""A network as Keras 3 code, for whichever backend; maps have their channels last there.

Keras has no layers for local response normalisation, for max pools with padding given in numbers and for means over
partial windows: these are written out. A convolution with both a stride and a dilation is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from alexplore.export import ExportError
from alexplore.export.python_code import Code, call, heading, keywords, quoted, unless
from alexplore.network.analysis import Analysis, Row
from alexplore.network.graph import Network
from alexplore.network.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Init,
    Layer,
    Linear,
    LocalResponseNorm,
    Pool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    pair,
)
from alexplore.network.windows import Window, same_padding
from alexplore.presets.preset import Preset

RESPONSE_NORM = '''
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
NORM_WITHIN_MAP = '''
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
MEAN_INSIDE = '''
@keras.saving.register_keras_serializable()
class MeanInside(layers.Layer):
    """The mean of each window over what lies inside the map, which ((top, bottom), (left, right)) surround."""

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
HELPERS = {
    "MeanInside": MEAN_INSIDE,
    "ResponseNorm": RESPONSE_NORM,
    "NormWithinMap": NORM_WITHIN_MAP,
    "PadForMax": PAD_FOR_MAX,
}

Call = tuple[str, list[str]]
Sides = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)


def export(preset: Preset, analysis: Analysis) -> str:
    """The text of a module with one function, which builds a `keras.Sequential`.

    Raises:
        ExportError: Keras has no words for a layer.
    """
    try:
        calls = [one for row in analysis.rows for one in _calls(preset.network, row)]
    except ExportError as error:
        raise ExportError(f"{preset.name} can't be exported to Keras: {error}") from None
    body = "".join(call(name, arguments, 12, after=",") for name, arguments in calls)
    helpers = "".join(text for name, text in HELPERS.items() if f" {name}(" in body)
    channels, height, width = preset.network.input
    images = preset.network.free_name("images")
    name = "_".join(re.findall(r"[a-z0-9]+", preset.name.lower())) or "network"
    own = any(row.layer.neurons and getattr(row.layer, "init", None) is None for row in analysis.rows)
    return (
        heading(preset, analysis.rows, "keras")
        + f"\nimport keras\nfrom keras import layers{', ops' if helpers else ''}\n\n"
        + helpers
        + f"\ndef build_{name}():\n"
        + f'    """Reads (N, {height}, {width}, {channels}) images{INITIAL if own else "."}"""\n'
        + "    return keras.Sequential(\n        [\n"
        + f"            keras.Input(({height}, {width}, {channels}), name={quoted(images)}),\n{body}        ],\n"
        + f"        name={quoted(name)},\n    )\n\n\n"
        + f'if __name__ == "__main__":\n    build_{name}().summary()\n'
    )


INITIAL = "; initial weights are Keras's own."


def _calls(network: Network, row: Row) -> list[Call]:
    """A layer as calls of Keras's layers: with a padding layer first where Keras's own padding would be another."""
    layer = row.layer
    match layer:
        case Conv2d():
            return _convolution(row, layer, network.free_name(f"{layer.name}_pad"))
        case Pool2d():
            return _pool(row, layer, network.free_name(f"{layer.name}_pad"))
        case Linear():
            settings = {"use_bias": unless(layer.bias, True), **_initial(layer), **_always(layer)}
            return [("layers.Dense", [str(layer.out_features), *keywords(settings)])]
        case LocalResponseNorm():
            return [_response_norm(layer)]
        case BatchNorm():
            return [("layers.BatchNormalization", _batch_norm(layer))]
    name, arguments = OTHERS[type(layer)]
    return [(name, [*(argument.format(layer=layer) for argument in arguments), *keywords(_always(layer))])]


OTHERS: Mapping[type[Layer], tuple[str, tuple[str, ...]]] = {
    AdaptiveAvgPool2d: ("layers.AdaptiveAveragePooling2D", ("{layer.output_size}",)),
    ReLU: ("layers.ReLU", ()),
    Tanh: ("layers.Activation", ('"tanh"',)),
    Sigmoid: ("layers.Activation", ('"sigmoid"',)),
    Softmax: ("layers.Softmax", ()),
    Dropout: ("layers.Dropout", ("{layer.p}",)),
    Flatten: ("layers.Flatten", ()),
}


def _convolution(row: Row, layer: Conv2d, pad_name: str) -> list[Call]:
    if max(pair(layer.stride)) > 1 and max(pair(layer.dilation)) > 1:
        raise ExportError(f"{layer.name} has a stride and a dilation over 1, and Keras's Conv2D takes one of them")
    same, sides = _padding(row)
    settings = {
        "strides": unless(layer.stride, 1),
        "padding": "same" if same else None,
        "dilation_rate": unless(layer.dilation, 1),
        "groups": unless(layer.groups, 1),
        "use_bias": unless(layer.bias, True),
        **_initial(layer),
        **_always(layer),
    }
    pad = [] if same else _pad("layers.ZeroPadding2D", pad_name, sides)
    return [*pad, ("layers.Conv2D", [str(layer.out_channels), repr(layer.kernel_size), *keywords(settings)])]


def _pool(row: Row, layer: Pool2d, pad_name: str) -> list[Call]:
    same, sides = _padding(row)
    kernel = repr(layer.kernel_size)
    settings = {"strides": layer.stride, **_always(layer)}
    if isinstance(layer, AvgPool2d):
        return _mean(row, layer, pad_name, kernel, settings)
    if same:
        return [("layers.MaxPooling2D", [kernel, *keywords({"padding": "same", **settings})])]
    return [*_pad("PadForMax", pad_name, sides), ("layers.MaxPooling2D", [kernel, *keywords(settings)])]


def _mean(row: Row, layer: AvgPool2d, pad_name: str, kernel: str, settings: Mapping[str, Any]) -> list[Call]:
    """An average pool: its mean counts padding that is given in numbers, and leaves out what else is outside the map.

    Keras's "same" leaves padding out too, but on the torch backend (3.15) not where it is uneven.
    """
    assert row.windows is not None
    _, reached = _padding(row)
    counted = NO_SIDES if layer.padding == "same" else _sides((w.before, w.after) for w in row.windows)
    outside = _sides(
        (before - given_before, max(0, after - given_after))
        for (before, after), (given_before, given_after) in zip(reached, counted, strict=True)
    )
    pad = _pad("layers.ZeroPadding2D", pad_name, counted)
    if outside == NO_SIDES:
        return [*pad, ("layers.AveragePooling2D", [kernel, *keywords(settings)])]
    return [*pad, ("MeanInside", [kernel, str(outside), *keywords(settings)])]


def _sides(axes: Iterable[tuple[int, int]]) -> Sides:
    rows, columns = axes
    return rows, columns


NO_SIDES: Sides = ((0, 0), (0, 0))


def _padding(row: Row) -> tuple[bool, Sides]:
    """Whether Keras's "same" is the layer's padding, and the padding that its windows reach into."""
    assert row.windows is not None and row.input is not None
    axes = list(zip(row.windows, row.input[1:], strict=True))
    sides = _sides(_reached(window, size) for window, size in axes)
    same = all(
        window.outputs(size) == -(-size // window.stride)
        and same_padding(size, window.kernel, window.stride, window.dilation) == side
        for (window, size), side in zip(axes, sides, strict=True)
    )
    return same and sides != NO_SIDES, sides


def _reached(window: Window, size: int) -> tuple[int, int]:
    end = (window.outputs(size) - 1) * window.stride + window.extent
    return window.before, max(0, end - window.before - size)


def _pad(kind: str, name: str, sides: Sides) -> list[Call]:
    return [] if sides == NO_SIDES else [(kind, [str(sides), f"name={quoted(name)}"])]


def _response_norm(layer: LocalResponseNorm) -> Call:
    settings = {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "k": layer.k}
    if layer.region == "within_channel":
        return "NormWithinMap", keywords({**settings, **_always(layer)})
    return "ResponseNorm", keywords({**settings, "groups": unless(layer.groups, 1), **_always(layer)})


def _batch_norm(layer: BatchNorm) -> list[str]:
    settings = {
        "momentum": round(1 - layer.momentum, 12),  # Keras weighs the old statistics, PyTorch the new ones
        "epsilon": layer.eps,
        "center": unless(layer.affine, True),
        "scale": unless(layer.affine, True),
        **_always(layer),
    }
    return keywords(settings)


def _initial(layer: Conv2d | Linear) -> dict[str, Any]:
    init = layer.init or Init()
    weights = None if init.std is None else Code(f"keras.initializers.RandomNormal(stddev={init.std!r})")
    biases = None if init.bias is None or not layer.bias else Code(f"keras.initializers.Constant({init.bias!r})")
    return {"kernel_initializer": weights, "bias_initializer": biases}


def _always(layer: Layer) -> dict[str, Any]:
    return {"trainable": None if layer.trains else False, "name": layer.name}
