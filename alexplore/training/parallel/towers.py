"""Split a network into towers as the paper does, one for each rank.

Ranks exchange activations only before layers that read all towers.
A tower has a share of the kernels of every layer except the last, which all towers compute in full. A layer with groups
reads its own tower; a layer that reads all towers follows an exchange (paper, figure 2). Outputs, gradients and weights
are those of the whole network with grouped convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.network.calls import Call
from alexplore.network.graph import Network
from alexplore.network.layers.base import Layer, Unsupported
from alexplore.network.shapes import Shape, Shapes
from alexplore.runs.preflight import NO_TOWERS
from alexplore.training.collectives import all_gather, all_reduce
from alexplore.training.errors import UsageError
from alexplore.training.kernels.table import Kernels
from alexplore.training.model.build import Model, build, build_layer
from alexplore.training.whole_state import load_optimizer_state

EXCHANGE = "exchange_"


@dataclass(frozen=True)
class Place:
    """A layer of a tower."""

    layer: Layer

    reads: str
    """"own": the tower's share; "all": the shares of all towers, after an exchange; "input": the whole image."""

    split: bool
    """Whether its output, and so its parameters, are a tower's share."""


def place(network: Network) -> tuple[Place, ...]:
    """Return the layers of one of a network's towers; they are the same for all towers.

    Raises:
        UsageError: the network has no towers, or a layer can't be split among them.
    """
    towers = network.towers
    if towers < 2:
        raise UsageError(NO_TOWERS)
    for position, read in enumerate(network.sources):
        if read != (position - 1,):
            names = " and ".join(network.source_names(position))
            raise _refusal(network.layers[position], f"it reads {names}; towers take layers one after another")
    weighted = [i for i, layer in enumerate(network.layers) if layer.neurons]
    if len(weighted) < 2:
        raise UsageError("--parallel towers: at least two layers with weights are needed, the last for all towers")
    return tuple(_placed(network.layers, towers, weighted[-1]))


def _placed(layers: tuple[Layer, ...], towers: int, last: int) -> Iterator[Place]:
    """Yield the places. `last` is the index of the last layer with weights, which all towers compute in full."""
    split = False
    for index, layer in enumerate(layers):
        if layer.neurons:
            groups = getattr(layer, "groups", 1)
            if groups > 1 and (not split or groups % towers):
                raise _refusal(layer, f"its {groups} groups don't lie inside {towers} towers")
            if groups > 1 and index == last:
                raise _refusal(layer, "the last layer with weights must read all towers")
            reads = "own" if groups > 1 else "all" if split else "input"
            split = index != last
            yield Place(_share(layer, towers) if split else layer, reads, split)
            continue
        if not split and layer.random:
            raise _refusal(layer, "all towers have its input, and each would drop other values")
        yield Place(_share(layer, towers) if split else layer, "own" if split else "input", split)


def _share(layer: Layer, towers: int) -> Layer:
    try:
        return layer.tower_share(towers)
    except Unsupported as error:
        raise _refusal(layer, str(error)) from None


def _refusal(layer: Layer, reason: str) -> UsageError:
    return UsageError(f"--parallel towers: layer {layer.name} can't be split: {reason}")


def build_tower(network: Network, tower: int, seed: int | None = None, kernels: Kernels | None = None) -> Model:
    """Return tower number `tower` of a network, with its share of the weights that `build` draws.

    `kernels` are by default those of this machine's processor.

    Raises:
        UsageError: the network can't be split.
        ShapeError: a layer can't read its input.
    """
    places = place(network)
    whole = build(network, seed, kernels)
    model = Model()
    shape: Shape = network.input
    previous: Layer | None = None  # the layer whose output the next layer may overwrite
    for placed in places:
        layer = placed.layer
        if placed.reads == "all":
            exchange = Exchange(network.towers, tower, summing=placed.split)
            model.add_module(network.free_name(EXCHANGE + layer.name), exchange)
            shape = (shape[0] * network.towers, *shape[1:])
            previous = None
        module = build_layer(layer, (shape,), _call(layer, (shape,), previous), kernels)
        weights = whole.get_submodule(layer.name).state_dict()
        if placed.split:
            weights = {name: _part(value, network.towers, tower) for name, value in weights.items()}
        module.load_state_dict(weights)
        model.add_module(layer.name, module)
        shape, previous = layer.output_shape((shape,)), layer
    return model.to(memory_format=torch.channels_last)


def _call(layer: Layer, inputs: Shapes, previous: Layer | None) -> Call:
    """Return the call of a layer, in place if `previous`, the layer that it reads, does not need its output."""
    call = layer.torch_call(inputs)
    free = layer.can_overwrite and previous is not None and previous.overwritable
    return call._replace(keywords={**call.keywords, "inplace": True}) if free else call


class Exchange(nn.Module):
    """Concatenate the shares (N, C, …) of all towers to (N, towers × C, …), on each of them.

    The backward pass returns the gradient of a tower's share. If the towers compute different outputs from the result
    (`summing`), it is the sum over the gradients on all towers; otherwise these gradients are equal.
    """

    def __init__(self, towers: int, tower: int, *, summing: bool) -> None:
        super().__init__()
        self.towers, self.tower, self.summing = towers, tower, summing
        self.reset_counts()

    def forward(self, own: Tensor) -> Tensor:
        """Return the shares of all towers, and count the bytes received."""
        self.received += own.numel() * own.element_size() * (self.towers - 1)
        self.images += len(own)
        everyone: Tensor = _Gather.apply(own, self.towers, self.tower, self.summing)
        return everyone

    def reset_counts(self) -> None:
        """Set the counts to zero."""
        self.received = 0  # bytes, in forward passes
        self.images = 0

    def extra_repr(self) -> str:
        return f"towers={self.towers}, tower={self.tower}, summing={self.summing}"


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, own: Tensor, towers: int, tower: int, summing: bool) -> Tensor:
        context.settings = towers, tower, summing
        mine = own.transpose(0, 1).contiguous()
        everyone = mine.new_empty((towers * mine.shape[0], *mine.shape[1:]))
        all_gather(everyone.chunk(towers), mine)
        return _channels_last(everyone.transpose(0, 1))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        towers, tower, summing = context.settings
        gradient = gradients[0].transpose(0, 1).contiguous()
        if summing:
            all_reduce(gradient)
        return _channels_last(_part(gradient, towers, tower).transpose(0, 1)), None, None, None


def reset_counts(model: nn.Module) -> None:
    """Set the counts of all exchanges to zero, for example after passes for timing."""
    for layer in model.children():
        if isinstance(layer, Exchange):
            layer.reset_counts()


def exchanged(model: nn.Module) -> dict[str, float]:
    """Return the counted bytes exchanged in the forward pass of one image, by the name of the layer that reads them.

    All ranks must call it together.
    """
    layers = {name: layer for name, layer in model.named_children() if isinstance(layer, Exchange)}
    received = torch.tensor([layer.received for layer in layers.values()], dtype=torch.float64)
    dist.all_reduce(received)
    counts = zip(layers, received.tolist(), (layer.images for layer in layers.values()), strict=True)
    return {name.removeprefix(EXCHANGE): bytes_ / max(1, images) for name, bytes_, images in counts}


@dataclass(frozen=True)
class TowerState:
    """Converts weights and optimizer state between a tower and the whole network, which checkpoints contain."""

    network: Network
    tower: int

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the weights of the whole network. All ranks must call it together."""
        return {name: self._whole(name, value) for name, value in model.state_dict().items()}

    def optimizer(self, model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimizer state of the whole network. All ranks must call it together."""
        state = optimizer.state_dict()
        names = _parameter_names(model, optimizer)
        slots = {
            index: {key: self._whole(names[index], value) for key, value in slot.items()}
            for index, slot in state["state"].items()
        }
        return {**state, "state": slots}

    def load_weights(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Load this tower's share of the whole network's weights."""
        model.load_state_dict({name: self._own(name, value) for name, value in weights.items()})

    def load_optimizer(self, model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Load this tower's share of the whole network's optimizer state."""
        names = _parameter_names(model, optimizer)
        slots = {
            index: {key: self._own(names[index], value) for key, value in slot.items()}
            for index, slot in state["state"].items()
        }
        load_optimizer_state(optimizer, {**state, "state": slots})

    def splits(self, layer: str) -> bool:
        """Return whether a layer's output, and so its parameters, are a tower's share."""
        return any(placed.split for placed in place(self.network) if placed.layer.name == layer)

    def whole(self, value: Tensor, axis: int = 0) -> Tensor:
        """Return the tensor whose parts along an axis, of output channels or features, the towers have.

        All ranks must call it together.
        """
        value = value.transpose(0, axis).contiguous()
        everyone = value.new_empty((self.network.towers * value.shape[0], *value.shape[1:]))
        dist.all_gather(list(everyone.chunk(self.network.towers)), value)
        return everyone.transpose(0, axis)

    def _split(self, name: str, value: Tensor) -> bool:
        return value.dim() > 0 and self.splits(name.partition(".")[0])

    def _own(self, name: str, value: Tensor) -> Tensor:
        return _part(value, self.network.towers, self.tower) if self._split(name, value) else value

    def _whole(self, name: str, value: Tensor) -> Tensor:
        if not self._split(name, value):
            return value
        return self.whole(value)


def _parameter_names(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """Return the names of an optimizer's parameters, in the order of their numbers in its state_dict."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def _part(value: Tensor, towers: int, tower: int) -> Tensor:
    """Return one tower's share of the first axis, which is output channels or features."""
    return value if value.dim() == 0 else value.chunk(towers)[tower]


def _channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last if values.dim() == 4 else torch.contiguous_format)
