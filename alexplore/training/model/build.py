"""A network as an `nn.Module`: the layers by their names, in order, with PyTorch's own parameters and shapes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.core.settings import SettingError
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.network.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
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
from alexplore.network.shapes import Shape, ShapeError, shape_text
from alexplore.runs.preflight import batch_problems
from alexplore.training.kernels import lrn
from alexplore.training.kernels.convolution import Conv, padding_of


class Model(nn.Module):
    """A stack of layers; `state_dict` has their names ("conv1.weight")."""

    def forward(self, images: Tensor) -> Tensor:
        """What the network says of (N, C, H, W) images."""
        for layer in self.children():
            images = layer(images)
        return images

    def train(self, mode: bool = True) -> Model:
        """Frozen layers stay in evaluation mode: a frozen batch norm keeps its statistics."""
        super().train(mode)
        for layer in self.children():
            if getattr(layer, "frozen", False):
                layer.eval()
        return self


def build(network: Network, seed: int | None = None) -> Model:
    """Build a network on the CPU, channels last, with initial weights drawn from `seed` (or PyTorch's generator).

    Raises:
        ShapeError: a layer can't read its input, or the network has no layers.
    """
    analysis = analyse(network)
    if analysis.broken is not None:
        raise ShapeError(str(analysis.broken.error))
    model = Model()
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        previous: Layer | None = None
        for row in analysis.rows:
            assert row.input is not None
            model.add_module(row.layer.name, build_layer(row.layer, row.input, previous))
            previous = row.layer
    return model.to(memory_format=torch.channels_last)


def check_classifier(network: Network) -> int:
    """The number of classes of a network that can be trained.

    Raises:
        ShapeError: a layer can't read its input, or the output is no vector.
    """
    analysis = analyse(network)
    if analysis.broken is not None:
        raise ShapeError(str(analysis.broken.error))
    output = analysis.rows[-1].output if analysis.rows else network.input
    assert output is not None
    if len(output) != 1:
        raise ShapeError(
            f"the network ends in a {shape_text(output)} map, not in one number for each class: "
            "end it with flatten and linear layers"
        )
    return output[0]


def check_last_batch(network: Network, images: int, batch_size: int) -> None:
    """Refuse a batch of one image for a batch norm that sees one value of it in a channel: no spread can be estimated.

    Raises:
        SettingError: the last batch of an epoch would be one.
    """
    for problem in batch_problems(network, images, batch_size):
        raise SettingError(problem.message)


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """The network's output before a softmax that ends it: its loss is computed from there without overflow."""
    layers = list(model.children())
    for layer in layers[:-1] if layers and isinstance(layers[-1], nn.Softmax) else layers:
        images = layer(images)
    return images


def build_layer(  # noqa: PLR0911, PLR0912 (one case for each layer type)
    layer: Layer, shape: Shape, previous: Layer | None = None
) -> nn.Module:
    """One layer for an input of `shape`. After `previous`, a ReLU may overwrite its input where that isn't needed."""
    match layer:
        case Conv2d():
            return _with_init(Conv(layer, shape), layer)
        case Linear():
            return _with_init(nn.Linear(shape[0], layer.out_features, layer.bias), layer)
        case MaxPool2d():
            return MaxPool(layer, shape)
        case AvgPool2d():
            return AvgPool(layer, shape)
        case AdaptiveAvgPool2d():
            return nn.AdaptiveAvgPool2d(layer.output_size)
        case LocalResponseNorm(region="within_channel"):
            return lrn.LocalResponseNormWithin(layer.size, layer.alpha, layer.beta, layer.k)
        case LocalResponseNorm():
            return lrn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k, layer.groups)
        case BatchNorm():
            norm = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
            return _frozen(norm(shape[0], layer.eps, layer.momentum, layer.affine), layer)
        case ReLU():
            return nn.ReLU(inplace=isinstance(previous, OVERWRITABLE))
        case Tanh():
            return nn.Tanh()
        case Sigmoid():
            return nn.Sigmoid()
        case Softmax():
            return nn.Softmax(dim=1)
        case Dropout():
            return nn.Dropout(layer.p)
        case Flatten():
            return nn.Flatten()
        case _:
            raise TypeError(f"no module for {layer.type}")


# Layers whose backward pass does not look at their output.
OVERWRITABLE = (Conv2d, Linear, BatchNorm, Pool2d, LocalResponseNorm)


class MaxPool(nn.MaxPool2d):
    """A max pool with any padding; what is padded is never the largest."""

    def __init__(self, layer: MaxPool2d, shape: Shape) -> None:
        padding, self.sides = padding_of(layer.windows(shape))
        self.size = layer.output_shape(shape)[1:]
        super().__init__(layer.kernel_size, layer.stride, padding, ceil_mode=layer.ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if self.sides:
            input = F.pad(input, self.sides, value=-torch.inf)
        return _cropped(super().forward(input), self.size)


class AvgPool(nn.AvgPool2d):
    """An average pool with any padding: zeros that count under PyTorch's rule, left out of the mean under "same"."""

    shares: Tensor | None

    def __init__(self, layer: AvgPool2d, shape: Shape) -> None:
        padding, self.sides = padding_of(layer.windows(shape))
        self.size = layer.output_shape(shape)[1:]
        counted = layer.padding != "same"
        super().__init__(layer.kernel_size, layer.stride, padding, layer.ceil_mode, counted)
        shares = None
        if self.sides and not counted:
            shares = _cropped(super().forward(F.pad(torch.ones(1, 1, *shape[1:]), self.sides)), self.size)
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if self.sides:
            input = F.pad(input, self.sides)
        means = _cropped(super().forward(input), self.size)
        return means if self.shares is None else means / self.shares.to(means.dtype)


def _cropped(maps: Tensor, size: Shape) -> Tensor:
    """Without the last window of a rounded-up pool that would start in the padding after the input."""
    return maps if maps.shape[2:] == size else maps[:, :, : size[0], : size[1]]


def _with_init(module: nn.Conv2d | nn.Linear, layer: Conv2d | Linear) -> nn.Module:
    with torch.no_grad():
        if layer.init and layer.init.std is not None:
            module.weight.normal_(0, layer.init.std)
        if layer.init and layer.init.bias is not None and module.bias is not None:
            module.bias.fill_(layer.init.bias)
    return _frozen(module, layer)


def _frozen(module: nn.Module, layer: Layer) -> nn.Module:
    if not layer.trains:
        module.requires_grad_(False)
        module.frozen = True  # type: ignore[assignment]
    return module
