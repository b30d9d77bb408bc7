"""The layer types: what each can be set to, and what follows from it for a given input.

Names, meanings and defaults are PyTorch's, in snake case. Every layer answers the same questions, each a pure
function of its settings and the shape that it reads: output shape, parameters, multiply-accumulates, windows. A type
without settings of its own inherits its dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from keyword import iskeyword
from typing import Any, ClassVar

from alexplore.core.settings import (
    Padding,
    SettingError,
    choice,
    flag,
    found_text,
    integer,
    nearest,
    number,
    optional,
    padding,
    read_settings,
    setting,
    settings_of,
    size,
    table,
)
from alexplore.network.shapes import Shape, ShapeError, elements, shape_text
from alexplore.network.windows import Window, same_padding

Pair = tuple[int, int]
Windows = tuple[Window, Window]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers that a layer learns (`weights`, `biases`) and numbers that it only keeps (`buffers`)."""

    weights: int = 0
    biases: int = 0
    buffers: int = 0

    @property
    def count(self) -> int:
        """What PyTorch's `parameters()` holds: buffers are not among them."""
        return self.weights + self.biases


NO_PARAMETERS = Parameters()


@dataclass(frozen=True)
class Init:
    """How a layer's weights and bias begin: weights ~ N(0, std²), every bias the same."""

    std: float | None = setting(optional(number(0, above=True)), None, "standard deviation of the weights")
    bias: float | None = setting(optional(number(-1e6, 1e6)), None, "value of every bias")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Layer:
    """What every layer has, and what it answers where a type says nothing else.

    Layers compare by their settings. That is written here once: to generate it for each type would take a start of the
    program longer than to analyse a network does.
    """

    type: ClassVar[str] = ""
    neurons: ClassVar[bool] = False  # whether its outputs are weighted sums, each a neuron
    name: str

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that comes out where `shape` goes in.

        Raises:
            ShapeError: this layer can't read that shape.
        """
        return shape

    def parameters(self, shape: Shape) -> Parameters:
        """What the layer learns and keeps, for an input that it can read."""
        return NO_PARAMETERS

    def windows(self, shape: Shape) -> Windows | None:
        """The windows along height and width that one output reads, or None where it reads one position."""
        return None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"

    def settings(self, *, defaults: bool = True) -> dict[str, Any]:
        """The settings by name, as a preset file holds them."""
        return settings_of(self, defaults=defaults)

    @property
    def trains(self) -> bool:
        """Whether the optimizer may change this layer's parameters."""
        return bool(getattr(self, "trainable", True))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Conv2d(Layer):
    """A convolution with `out_channels` kernels. Output sizes: PyTorch's documentation of `Conv2d`."""

    type: ClassVar[str] = "conv2d"
    neurons: ClassVar[bool] = True
    out_channels: int = setting(integer(1), doc="number of kernels")
    kernel_size: int | Pair = setting(size(1), doc="height and width of a kernel")
    stride: int | Pair = setting(size(1), 1, "pixels between neighbouring outputs")
    padding: Padding = setting(padding(), 0, "zeros around the input")
    dilation: int | Pair = setting(size(1), 1, "pixels between neighbouring taps of a kernel")
    groups: int = setting(integer(1), 1, "independent groups of channels")
    bias: bool = setting(flag(), True, "whether each kernel has a bias")
    in_channels: int | None = setting(optional(integer(1)), None, "checked against the input where given")
    init: Init | None = setting(optional(table(Init)), None, "initial weights and biases")
    trainable: bool = setting(flag(), True, "false freezes the layer")

    def windows(self, shape: Shape) -> Windows:
        map_size = shape[1:] if self.padding == "same" else None
        return _windows(self.kernel_size, self.stride, self.padding, self.dilation, False, map_size)

    def output_shape(self, shape: Shape) -> Shape:
        channels, _, _ = _require_map(self.name, shape)
        if self.in_channels not in (None, channels):
            raise ShapeError(f"{self.name} expects {self.in_channels} input channels, gets {channels}")
        for label, count in (("input", channels), ("output", self.out_channels)):
            if count % self.groups:
                raise ShapeError(f"{self.name}: {count} {label} channels don't divide into {self.groups} groups")
        return (self.out_channels, *_slide(self, self.windows(shape), shape))

    def parameters(self, shape: Shape) -> Parameters:
        kernel_height, kernel_width = pair(self.kernel_size)
        weights = kernel_height * kernel_width * (shape[0] // self.groups) * self.out_channels
        return Parameters(weights, self.out_channels if self.bias else 0)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pool2d(Layer):
    """What the pooling layers share. Output sizes: PyTorch's documentation of `MaxPool2d`."""

    kernel_size: int | Pair = setting(size(1), doc="height and width of the window")
    stride: int | Pair | None = setting(
        optional(size(1)), None, "pixels between windows; the window's size if left out"
    )
    padding: Padding = setting(padding(), 0, "pixels around the input")
    ceil_mode: bool = setting(flag(), False, "round output sizes up: keep a last, partial window")

    def windows(self, shape: Shape) -> Windows:
        stride = self.kernel_size if self.stride is None else self.stride
        map_size = shape[1:] if self.padding == "same" else None
        return _windows(self.kernel_size, stride, self.padding, 1, self.ceil_mode, map_size)

    def output_shape(self, shape: Shape) -> Shape:
        _require_map(self.name, shape)
        windows = self.windows(shape)
        for axis, window in zip(("height", "width"), windows, strict=True):
            if max(window.before, window.after) > window.kernel // 2:
                raise ShapeError(
                    f"{self.name}: padding {max(window.before, window.after)} is more than half of the window's "
                    f"{axis} {window.kernel}"
                )
        return (shape[0], *_slide(self, windows, shape))


class MaxPool2d(Pool2d):
    """The largest value in each window."""

    type: ClassVar[str] = "max_pool2d"


class AvgPool2d(Pool2d):
    """The mean of each window. Padding given in numbers counts as zeros (PyTorch); "same" does not (TensorFlow)."""

    type: ClassVar[str] = "avg_pool2d"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AdaptiveAvgPool2d(Layer):
    """Averages down, or repeats up, to `output_size` whatever the input. Source: PyTorch's `AdaptiveAvgPool2d`."""

    type: ClassVar[str] = "adaptive_avg_pool2d"
    output_size: int | Pair = setting(size(1), doc="height and width of the output")

    def output_shape(self, shape: Shape) -> Shape:
        _require_map(self.name, shape)
        return (shape[0], *pair(self.output_size))

    def windows(self, shape: Shape) -> Windows:
        """The largest window and the largest step: output i averages inputs ⌊i·in/out⌋ to ⌈(i+1)·in/out⌉ − 1."""
        height, width = pair(self.output_size)
        return _adaptive_window(shape[1], height), _adaptive_window(shape[2], width)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LocalResponseNorm(Layer):
    """b = a / (k + alpha / n · Σ a²)^beta over n neighbours (paper, section 3.3; PyTorch divides alpha by n).

    `region` names the neighbours as Caffe does: `size` channels at one position, or a `size`×`size` window within one
    channel, where alpha is divided by size². `groups` normalises inside each group of channels alone.
    """

    type: ClassVar[str] = "local_response_norm"
    size: int = setting(integer(1), doc="neighbours, or the window's side within a channel")
    alpha: float = setting(number(0), 1e-4, "scale; divided by the number of neighbours")
    beta: float = setting(number(0), 0.75, "exponent")
    k: float = setting(number(0), 1.0, "added before the exponent")
    groups: int = setting(integer(1), 1, "groups of channels normalised apart")
    region: str = setting(choice("across_channels", "within_channel"), "across_channels", "which neighbours")

    def output_shape(self, shape: Shape) -> Shape:
        channels = _require_map(self.name, shape)[0]
        if channels % self.groups:
            raise ShapeError(f"{self.name}: {channels} channels don't divide into {self.groups} groups")
        return shape

    def windows(self, shape: Shape) -> Windows | None:
        if self.region == "across_channels":
            return None
        window = Window(self.size, 1, 1, self.size // 2, (self.size - 1) // 2)
        return window, window


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BatchNorm(Layer):
    """Normalises each channel, or feature, over the batch; 1-d or 2-d by its input. Source: PyTorch's `BatchNorm2d`."""

    type: ClassVar[str] = "batch_norm"
    eps: float = setting(number(0, above=True), 1e-5, "added to the variance")
    momentum: float = setting(number(0, 1), 0.1, "share of the new batch in the running statistics")
    affine: bool = setting(flag(), True, "whether it learns a scale and a shift")
    trainable: bool = setting(flag(), True, "false freezes the layer")

    def parameters(self, shape: Shape) -> Parameters:
        learned = shape[0] if self.affine else 0
        return Parameters(learned, learned, buffers=2 * shape[0])


class ReLU(Layer):
    """max(0, x)."""

    type: ClassVar[str] = "relu"


class Tanh(Layer):
    """tanh(x)."""

    type: ClassVar[str] = "tanh"


class Sigmoid(Layer):
    """1 / (1 + e^−x)."""

    type: ClassVar[str] = "sigmoid"


class Softmax(Layer):
    """e^x / Σ e^x over the channels or features."""

    type: ClassVar[str] = "softmax"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dropout(Layer):
    """While training, zeroes a share `p` of the values and scales the rest by 1 / (1 − p)."""

    type: ClassVar[str] = "dropout"
    p: float = setting(number(0, 1), 0.5, "share of the values set to zero")


class Flatten(Layer):
    """A map as one vector, channel after channel."""

    type: ClassVar[str] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (elements(shape),)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Linear(Layer):
    """A fully connected layer."""

    type: ClassVar[str] = "linear"
    neurons: ClassVar[bool] = True
    out_features: int = setting(integer(1), doc="number of neurons")
    bias: bool = setting(flag(), True, "whether each neuron has a bias")
    in_features: int | None = setting(optional(integer(1)), None, "checked against the input where given")
    init: Init | None = setting(optional(table(Init)), None, "initial weights and biases")
    trainable: bool = setting(flag(), True, "false freezes the layer")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ShapeError(f"{self.name} reads a vector, gets a {shape_text(shape)} map")
        if self.in_features not in (None, shape[0]):
            raise ShapeError(f"{self.name} expects {self.in_features} inputs, gets {shape[0]}")
        return (self.out_features,)

    def parameters(self, shape: Shape) -> Parameters:
        return Parameters(shape[0] * self.out_features, self.out_features if self.bias else 0)


LAYER_TYPES: Mapping[str, type[Layer]] = {
    cls.type: cls
    for cls in (
        Conv2d, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, LocalResponseNorm, BatchNorm, ReLU, Tanh, Sigmoid, Dropout,
        Flatten, Linear, Softmax,
    )
}  # fmt: skip


def read_layer(values: Mapping[str, Any], default_name: str) -> Layer:
    """A layer from one entry of a preset file.

    Raises:
        SettingError: an unknown type or key, or a value that is not allowed; the message names the layer.
    """
    if not isinstance(values, Mapping):
        raise SettingError(
            f"layer {default_name}: found {found_text(values)}, allowed: a table with name, type and settings"
        )
    name = values.get("name", default_name)
    if not isinstance(name, str) or not is_layer_name(name):
        raise SettingError(f"layer {default_name}: name: found {found_text(name)}, allowed: {LAYER_NAMES}")
    type_name = values.get("type")
    if not isinstance(type_name, str) or type_name not in LAYER_TYPES:
        hint = nearest(type_name, LAYER_TYPES) if isinstance(type_name, str) else "."
        found = "type is missing." if type_name is None else f"unknown type {found_text(type_name)}{hint}"
        raise SettingError(f"layer {name}: {found} Allowed: {', '.join(LAYER_TYPES)}")
    cls = LAYER_TYPES[type_name]
    try:
        settings = read_settings(cls, {k: v for k, v in values.items() if k not in ("name", "type")})
    except SettingError as error:
        raise SettingError(f"layer {name} ({type_name}): {error}") from None
    return cls(name=name, **settings)


def write_layer(layer: Layer) -> dict[str, Any]:
    """The entry of a preset file that `read_layer` reads back; settings at their defaults are left out."""
    return {"name": layer.name, "type": layer.type, **layer.settings(defaults=False)}


LAYER_NAMES = "letters, digits and _, starting with a letter; no Python keyword, no name that exported code itself uses"


def is_layer_name(name: str) -> bool:
    """Whether a layer may have this name: it becomes an attribute of the `nn.Module`, built or exported."""
    plain = name.isascii() and name.isidentifier() and not name.startswith("_")
    return plain and not iskeyword(name) and name not in MODULE_ATTRIBUTES


# What an nn.Sequential has, and what exported code defines besides.
MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "append",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extend",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "insert",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "pop",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "reset_parameters",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)


def pair(size: int | Pair) -> Pair:
    """A size as (height, width)."""
    return (size, size) if isinstance(size, int) else size


@lru_cache(4096)  # each layer's are asked for several times in an analysis, and in the next one
def _windows(
    kernel_size: int | Pair,
    stride: int | Pair,
    padding: Padding,
    dilation: int | Pair,
    ceil_mode: bool,
    map_size: Shape | None,
) -> Windows:
    """The windows along height and width; `map_size` is looked at under "same" padding alone."""
    kernels, strides, dilations = pair(kernel_size), pair(stride), pair(dilation)
    rows, columns = (0, 0), (0, 0)  # "valid"
    match padding:
        case "same":
            rows, columns = map(same_padding, map_size or (), kernels, strides, dilations)
        case int():
            rows = columns = (padding, padding)
        case (height, width):
            rows, columns = (height, height), (width, width)
        case (left, right, top, bottom):
            rows, columns = (top, bottom), (left, right)
    return (
        Window(kernels[0], strides[0], dilations[0], *rows, ceil_mode),
        Window(kernels[1], strides[1], dilations[1], *columns, ceil_mode),
    )


def _adaptive_window(size: int, outputs: int) -> Window:
    whole, rest = divmod(size, outputs)
    # A window of whole pixels, one more where size/outputs begins or ends inside a pixel, two more where both do.
    partial = 0 if rest == 0 else 1 if outputs % rest == 0 else 2
    return Window(whole + partial, -(-size // outputs))


def _slide(layer: Conv2d | Pool2d, windows: Windows, shape: Shape) -> Pair:
    """How many positions the windows take along height and width."""
    height, width = windows[0].outputs(shape[1]), windows[1].outputs(shape[2])
    if height < 1 or width < 1:
        axis, window, size = ("height", windows[0], shape[1]) if height < 1 else ("width", windows[1], shape[2])
        padded = size + window.before + window.after
        with_padding = f" ({size} with padding {window.before}+{window.after})" if padded != size else ""
        raise ShapeError(
            f"{layer.name}: the window's {axis} {window.extent} is larger than the input's {padded}{with_padding}"
        )
    return height, width


def _require_map(name: str, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ShapeError(f"{name} reads a channels×height×width map, gets a vector of {shape_text(shape)}")
    return shape[0], shape[1], shape[2]
