"""A network as an `nn.Module`: the layers by their names, in order, with PyTorch's own parameters and shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from alexplore.core.settings import SettingError
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.calls import Call
from alexplore.network.graph import IMAGE, Network
from alexplore.network.layers.base import Layer
from alexplore.network.limits import memory_problem
from alexplore.network.shapes import ShapeError, Shapes
from alexplore.network.torch_calls import torch_call
from alexplore.runs.preflight import batch_problems, no_classes_text
from alexplore.training.errors import UsageError
from alexplore.training.kernels import MODULES
from alexplore.training.kernels.table import Kernels, choose_kernels
from alexplore.training.model.combine import LayerCall, combined
from alexplore.training.model.merge import MERGES

Sources = tuple[tuple[int, ...], ...]


class Model(nn.Module):
    """Layers in order; `state_dict` has their names ("conv1.weight").

    `sources` are the positions of the layers that each layer reads, `IMAGE` for the images; without them a layer reads
    the one before it.
    """

    def __init__(self, sources: Sources | None = None) -> None:
        super().__init__()
        self._sources = sources  # attributes begin with _, as no layer's name does

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's output (N, classes) for (N, C, H, W) images."""
        return self._run(list(self.children()), images)

    def _logits(self, images: Tensor) -> Tensor:
        layers = list(self.children())
        return self._run(layers[:-1] if layers and isinstance(layers[-1], nn.Softmax) else layers, images)

    def _run(self, layers: list[nn.Module], images: Tensor) -> Tensor:
        """Return the output of the last of `layers`, the first ones of this model."""
        if self._sources is None:
            return _called(combined(layers), images)
        outputs: dict[int, Tensor] = {IMAGE: images}
        last_reader = {source: position for position, read in enumerate(self._sources) for source in read}
        for first, end in chains(self._sources[: len(layers)]):
            read = self._sources[first]
            values = [outputs[source] for source in read]
            for source in set(read):
                if last_reader[source] == first:
                    del outputs[source]  # its memory is free for the next outputs
            if len(values) == 1:
                outputs[end - 1] = _called(combined(layers[first:end]), values.pop())
            else:
                joined = layers[first](*values)
                values.clear()
                outputs[end - 1] = _called(combined(layers[first + 1 : end]), joined)
        return outputs[len(layers) - 1]

    def train(self, mode: bool = True) -> Model:
        """Set the training mode; frozen layers stay in evaluation mode: a frozen batch norm keeps its statistics."""
        super().train(mode)
        for layer in self.children():
            if getattr(layer, "frozen", False):
                layer.eval()
        return self


def chains(sources: Sources) -> Iterator[tuple[int, int]]:
    """Yield the first position and the end of each part of a network in which every layer but the first reads the one
    before it, whose output nothing else reads.
    """
    readers = Counter(source for read in sources for source in read)
    first = 0
    for position in range(1, len(sources) + 1):
        if position == len(sources) or sources[position] != (position - 1,) or readers[position - 1] > 1:
            yield first, position
            first = position


def _called(calls: Iterable[LayerCall], value: Tensor) -> Tensor:
    """Return the value that calls make of one another's results, beginning with `value`."""
    for call in calls:
        value = call(value)
    return value


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the outputs (N, classes) from which a model's loss is computed without overflow.

    They are those before a softmax that ends the network.
    """
    output: Tensor = model._logits(images) if isinstance(model, Model) else model(images)
    return output


def why_too_large(analysis: Analysis) -> str | None:
    """Return why a network can't be built: its weights and one image take more memory than this machine has."""
    reason = memory_problem(analysis, psutil.virtual_memory().total, "this machine has")
    return f"the network can't be built: {reason}" if reason else None


def build(network: Network, seed: int | None = None, kernels: Kernels | None = None) -> Model:
    """Return a network's model on the CPU, channels last, with initial weights.

    They are drawn from `seed`, or from PyTorch's generator if that is None. `kernels` are by default those of this
    machine's processor.

    Raises:
        ShapeError: a layer can't read its input, or the network has no layers.
        UsageError: the weights and one image take more memory than this machine has.
    """
    analysis = analyse(network)
    if analysis.broken is not None:
        raise ShapeError(str(analysis.broken.error))
    if reason := why_too_large(analysis):
        raise UsageError(reason)
    model = Model(None if network.is_chain else network.sources)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        for row in analysis.rows:
            call = None if row.layer.type in MERGES else torch_call(row, network)
            model.add_module(row.layer.name, build_layer(row.layer, row.inputs, call, kernels))
    return model.to(memory_format=torch.channels_last)


def check_classifier(network: Network) -> int:
    """Return the number of classes of a network that can be trained.

    Raises:
        ShapeError: a layer can't read its input, or the output is no vector.
    """
    analysis = analyse(network)
    if analysis.broken is not None:
        raise ShapeError(str(analysis.broken.error))
    output = analysis.output
    assert output is not None
    if len(output) != 1:
        raise ShapeError(no_classes_text(output))
    return output[0]


def check_last_batch(network: Network, images: int, batch_size: int) -> None:
    """Check that no batch has one image if a batch norm has one value of an image in a channel: it has no variance.

    Raises:
        SettingError: the last batch of an epoch would be one image.
    """
    for problem in batch_problems(network, images, batch_size):
        raise SettingError(problem.message)


def build_layer(layer: Layer, inputs: Shapes, call: Call | None = None, kernels: Kernels | None = None) -> nn.Module:
    """Return one layer's module for inputs of these shapes: a faster kernel, or else the module of `call`.

    `call` is the layer's own `torch_call` if left out, `kernels` are those of this machine's processor.
    """
    if layer.type in MERGES:
        return MERGES[layer.type]()
    if kernels is None:
        kernels = choose_kernels("cpu")
    if layer.type in MODULES:
        module = MODULES[layer.type](layer, inputs, kernels)
    else:
        module = _make(call or layer.torch_call(inputs))
    if layer.channels_first:
        module.register_forward_hook(_put_channels_last)
    _initialise(module, layer)
    if not layer.trains:
        module.requires_grad_(False)
        module.frozen = True  # type: ignore[assignment]
    return module


def _make(call: Call) -> nn.Module:
    """Return the module that a call of `torch.nn` creates."""
    made: nn.Module = getattr(nn, call.name.removeprefix("nn."))(*call.arguments, **call.given)
    return made


def _put_channels_last(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Return maps with their channels last: else the next convolution copies them, and both are kept for backward."""
    return output.contiguous(memory_format=torch.channels_last) if output.dim() == 4 else output


def _initialise(module: nn.Module, layer: Layer) -> None:
    """Set the initial weights and biases that the layer declares."""
    init = layer.initial_weights
    if init is None:
        return
    parameters: dict[str, Any] = dict(module.named_parameters(recurse=False))
    with torch.no_grad():
        if init.std is not None:
            parameters["weight"].normal_(0, init.std)
        if init.bias is not None and "bias" in parameters:
            parameters["bias"].fill_(init.bias)
