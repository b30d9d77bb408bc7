"""A network as a Python module that needs PyTorch and nothing else.

Its parameters have the layers' names, as in a run's checkpoints, which therefore load into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from alexplore.export.python_code import call, class_name, heading, keywords, unless
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
    MaxPool2d,
    Pool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from alexplore.network.shapes import shape_text
from alexplore.network.windows import Window
from alexplore.presets.preset import Preset

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
PADDED_MEAN = '''
class PaddedAvgPool2d(nn.AvgPool2d):
    """An average over each window that leaves the padding (left, right, top, bottom) out."""

    def __init__(self, sides: tuple[int, int, int, int], **settings):
        super().__init__(**settings)
        self.sides = sides

    def forward(self, maps: Tensor) -> Tensor:
        inside = F.pad(torch.ones_like(maps[:1, :1]), self.sides)
        return super().forward(F.pad(maps, self.sides)) / super().forward(inside)

'''
HELPERS = {"GroupedNorm": GROUPED_NORM, "NormWithinMap": WITHIN_NORM, "PaddedAvgPool2d": PADDED_MEAN}

# Layers whose backward pass does not look at their output, so that a ReLU after them may overwrite it.
OVERWRITABLE = (Conv2d, Linear, BatchNorm, Pool2d)

Sides = tuple[int, int, int, int]


def export(preset: Preset, analysis: Analysis) -> str:
    """The text of a module with one class, a `torch.nn.Sequential` of named layers."""
    rows = analysis.rows
    layers = [None, *(row.layer for row in rows)]
    entries = [_entry(preset.network, row, previous) for row, previous in zip(rows, layers, strict=False)]
    body = "".join(entries)
    helpers = "".join(text for name, text in HELPERS.items() if f" {name}(" in body)
    return (
        heading(preset, rows, "pytorch")
        + _imports(helpers)
        + helpers
        + _class(preset, rows, entries)
        + _demonstration(preset)
    )


def _imports(helpers: str) -> str:
    functional = "import torch.nn.functional as F\n" if "F." in helpers else ""
    tensor = "from torch import Tensor, nn\n" if helpers else "from torch import nn\n"
    return f"\nfrom collections import OrderedDict\n\nimport torch\n{functional}{tensor}\n"


def _class(preset: Preset, rows: tuple[Row, ...], entries: list[str]) -> str:
    flat = next((i for i, row in enumerate(rows) if isinstance(row.layer, Flatten)), None)
    parts = {"layers": entries} if not flat else {"features": entries[:flat], "classifier": entries[flat:]}
    text = f"\nclass {class_name(preset)}(nn.Sequential):\n"
    text += f'    """Reads (N, {", ".join(map(str, preset.network.input))}) images."""\n\n'
    text += "    def __init__(self):\n"
    for name, part in parts.items():
        text += f"        {name} = {{\n{''.join(part)}        }}\n"
    text += f"        super().__init__(OrderedDict({' | '.join(parts)}))\n"
    initial, frozen = "".join(_initial(rows)), [row.layer for row in rows if not row.layer.trains]
    if initial:
        text += "        self.reset_parameters()\n"
    for layer in frozen:
        text += f"        self.{layer.name}.requires_grad_(False)\n"
    if initial:
        text += f"\n    def reset_parameters(self):\n{initial}"
    norms = [layer for layer in frozen if isinstance(layer, BatchNorm)]
    if norms:
        text += "\n    def train(self, mode=True):\n        super().train(mode)\n"
        text += "".join(f"        self.{layer.name}.eval()  # frozen\n" for layer in norms)
        text += "        return self\n"
    return text


def _demonstration(preset: Preset) -> str:
    size = ", ".join(map(str, preset.network.input))
    return f"""

if __name__ == "__main__":
    model = {class_name(preset)}().eval()
    print(model)
    print(f"{{sum(p.numel() for p in model.parameters()):,}} parameters")
    print(tuple(model(torch.zeros(1, {size})).shape))
"""


def _initial(rows: tuple[Row, ...]) -> Iterator[str]:
    """Statements that draw initial weights, layers that begin alike together."""
    alike: dict[tuple[Init, bool], list[str]] = {}
    for row in rows:
        init = getattr(row.layer, "init", None)
        if init is not None and init != Init():
            biased = getattr(row.layer, "bias", False) and init.bias is not None
            alike.setdefault((init, biased), []).append(f"self.{row.layer.name}")
    for (init, biased), layers in alike.items():
        if len(layers) == 1:
            indent, layer = " " * 8, layers[0]
        else:
            yield call("", layers, 8, "for layer in ", ":")
            indent, layer = " " * 12, "layer"
        if init.std is not None:
            yield f"{indent}nn.init.normal_({layer}.weight, std={init.std!r})\n"
        if biased:
            yield f"{indent}nn.init.constant_({layer}.bias, {init.bias!r})\n"


def _entry(network: Network, row: Row, previous: Layer | None) -> str:
    """A layer's lines among the layers, with those of a padding that its PyTorch layer can't do itself."""
    assert row.input is not None
    layer, comment, padding = row.layer, "", ""
    if isinstance(layer, Conv2d | Pool2d):
        if layer.padding == "same":
            comment = f'{" " * 12}# "same" for maps of {shape_text(row.input[1:])}\n'
        sides = _sides(row)
        if sides and not _leaves_padding_out(layer):
            key = network.free_name(f"{layer.name}_pad")
            padding = call(*_pad(layer, sides), 12, f'"{key}": ', ",")
    elif isinstance(layer, LocalResponseNorm) and layer.region == "across_channels":
        alpha = f"{layer.alpha:g} / {layer.size} = {layer.alpha / layer.size:g}"
        comment = f"{' ' * 12}# PyTorch divides alpha by size: {alpha}\n"
    return comment + padding + call(*_module(row, previous), 12, f'"{layer.name}": ', ",")


def _pad(layer: Conv2d | Pool2d, sides: Sides) -> tuple[str, list[str]]:
    if isinstance(layer, MaxPool2d):
        return "nn.ConstantPad2d", [str(sides), 'float("-inf")']
    return "nn.ZeroPad2d", [str(sides)]


def _module(row: Row, previous: Layer | None) -> tuple[str, list[str]]:
    """The name of a layer's class and the arguments that it is made with."""
    layer, shape = row.layer, row.input
    assert shape is not None
    match layer:
        case Conv2d():
            return "nn.Conv2d", _convolution(row, layer, shape[0])
        case Pool2d():
            return _pool(row, layer)
        case LocalResponseNorm():
            return _response_norm(layer)
        case BatchNorm():
            return f"nn.BatchNorm{1 if len(shape) == 1 else 2}d", _batch_norm(layer, shape[0])
        case Linear():
            return "nn.Linear", [str(shape[0]), str(layer.out_features), *([] if layer.bias else ["bias=False"])]
    name, arguments = OTHERS[type(layer)]
    in_place = isinstance(layer, ReLU) and isinstance(previous, OVERWRITABLE)
    return name, ["inplace=True"] if in_place else [argument.format(layer=layer) for argument in arguments]


OTHERS: Mapping[type[Layer], tuple[str, tuple[str, ...]]] = {
    AdaptiveAvgPool2d: ("nn.AdaptiveAvgPool2d", ("{layer.output_size}",)),
    ReLU: ("nn.ReLU", ()),
    Tanh: ("nn.Tanh", ()),
    Sigmoid: ("nn.Sigmoid", ()),
    Softmax: ("nn.Softmax", ("dim=1",)),
    Dropout: ("nn.Dropout", ("p={layer.p}",)),
    Flatten: ("nn.Flatten", ()),
}


def _convolution(row: Row, layer: Conv2d, channels: int) -> list[str]:
    settings = {
        "kernel_size": layer.kernel_size,
        "stride": unless(layer.stride, 1),
        "padding": unless(_symmetric_padding(row), 0),
        "dilation": unless(layer.dilation, 1),
        "groups": unless(layer.groups, 1),
        "bias": unless(layer.bias, True),
    }
    return [str(channels), str(layer.out_channels), *keywords(settings)]


def _response_norm(layer: LocalResponseNorm) -> tuple[str, list[str]]:
    settings = keywords({"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "k": layer.k})
    if layer.region == "within_channel":
        return "NormWithinMap", settings
    if layer.groups > 1:
        return "GroupedNorm", [str(layer.groups), *settings]
    return "nn.LocalResponseNorm", settings


def _batch_norm(layer: BatchNorm, channels: int) -> list[str]:
    settings = {
        "eps": unless(layer.eps, 1e-5),
        "momentum": unless(layer.momentum, 0.1),
        "affine": unless(layer.affine, True),
    }
    return [str(channels), *keywords(settings)]


def _pool(row: Row, layer: Pool2d) -> tuple[str, list[str]]:
    averages, sides = isinstance(layer, AvgPool2d), _sides(row)
    settings = {
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": unless(_symmetric_padding(row), 0),
        "ceil_mode": unless(layer.ceil_mode, False),
    }
    if averages and sides and _leaves_padding_out(layer):
        return "PaddedAvgPool2d", [str(sides), *keywords(settings)]
    if averages and _leaves_padding_out(layer) and settings["padding"]:
        settings["count_include_pad"] = False
    return "nn.AvgPool2d" if averages else "nn.MaxPool2d", keywords(settings)


def _leaves_padding_out(layer: Conv2d | Pool2d) -> bool:
    """Whether the mean of a window is over what is inside the map alone, as TensorFlow's "same" has it."""
    return isinstance(layer, AvgPool2d) and layer.padding == "same"


def _symmetric_padding(row: Row) -> int | tuple[int, int]:
    """Padding as PyTorch's layers take it; none where it is done before them."""
    assert row.windows is not None
    if _sides(row):
        return 0
    height, width = (window.before for window in row.windows)
    return height if height == width else (height, width)


def _sides(row: Row) -> Sides | None:
    """Padding (left, right, top, bottom) to be done before a layer, None where PyTorch's layer can do it."""
    assert row.windows is not None and row.input is not None
    if all(window.before == window.after for window in row.windows):
        return None
    height, width = (_around(window, size) for window, size in zip(row.windows, row.input[1:], strict=True))
    return (*width, *height)


def _around(window: Window, size: int) -> tuple[int, int]:
    """Padding before and after, without what a rounded-up pool would take for the start of one window more."""
    reached = (window.outputs(size) - 1) * window.stride + window.extent - window.before - size
    return window.before, min(window.after, reached) if window.ceil_mode else window.after
