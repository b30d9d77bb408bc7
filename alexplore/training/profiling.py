"""How long each layer of a network takes on a device, forward and backward."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alexplore.network.graph import IMAGE, Network
from alexplore.training.kernels.table import choose_kernels
from alexplore.training.model.build import Model, build
from alexplore.training.model.shared_batch_norm import tolerate_small_batches
from alexplore.training.precision import Precision, matmul_peak
from alexplore.training.timing import wall_seconds

FEWEST_ROUNDS, MOST_ROUNDS = 5, 50
ENOUGH_SECONDS = 5.0  # of measuring, after which no further round begins


@dataclass(frozen=True)
class Durations:
    """Durations in seconds of the same work, one for each round."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The interquartile range divided by the median: how much the rounds differ; 0 if the median is 0."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / self.median if self.median > 0 else 0.0


@dataclass(frozen=True)
class LayerTimes:
    """The forward and the backward pass of a layer; `flops` counts the operations by weights of both for one image."""

    forward: Durations
    backward: Durations
    flops: int


@dataclass(frozen=True)
class NetworkTimes:
    """The layers in their order, and `whole`: the forward and the backward pass of the whole network.

    `peak_flops` are the operations a second of a large matrix multiplication, the median over the rounds.
    """

    layers: Sequence[LayerTimes]
    whole: Durations
    peak_flops: float


def measure_layers(network: Network, macs: Sequence[int], batch: int, precision: Precision) -> NetworkTimes:
    """Time each layer on a batch of random images, and the whole network.

    `macs` are those of each layer for one image. Every round runs all layers and measures the peak, so that a change
    of the machine's load or clock rate affects all of them. Each layer reads the outputs of the layers before it; its
    backward pass calculates the gradients that training needs: of its parameters if they are trained, and of its inputs
    unless they are the images.
    """
    device = precision.device
    model = build(network, seed=0, kernels=choose_kernels(device.type)).to(device).train()
    tolerate_small_batches(model)
    images = torch.randn(batch, *network.input, device=device).contiguous(memory_format=torch.channels_last)
    inputs = _inputs(model, images, precision)
    tasks = [
        _LayerTask(layer, inputs[layer], [source != IMAGE for source in sources], precision)
        for layer, sources in zip(model.children(), network.sources, strict=True)
    ]
    forward, backward = [list[float]() for _ in tasks], [list[float]() for _ in tasks]
    whole, peaks = list[float](), list[float]()
    _pass(model, images, precision)  # the first pass of all allocates memory
    total = 0.0
    while len(whole) < MOST_ROUNDS and (len(whole) < FEWEST_ROUNDS or total < ENOUGH_SECONDS):
        for position, task in enumerate(tasks):
            seconds = task.measure()
            forward[position].append(seconds[0])
            backward[position].append(seconds[1])
            total += sum(seconds)
        whole.append(wall_seconds(lambda: _pass(model, images, precision), device))
        total += whole[-1]
        peaks.append(matmul_peak(device, precision.name))
    layers = [
        LayerTimes(Durations(there), Durations(back), 2 * count * task.passes)
        for there, back, count, task in zip(forward, backward, macs, tasks, strict=True)
    ]
    return NetworkTimes(layers, Durations(whole), statistics.median(peaks))


def _pass(model: Model, images: Tensor, precision: Precision) -> None:
    """Run a forward and a backward pass."""
    with precision.autocast():
        output = model(images)
    if output.requires_grad:
        torch.autograd.backward(output, torch.ones_like(output))
    model.zero_grad(set_to_none=True)


def _inputs(model: Model, images: Tensor, precision: Precision) -> dict[nn.Module, tuple[Tensor, ...]]:
    """Return copies of the inputs of each layer for these images."""
    found: dict[nn.Module, tuple[Tensor, ...]] = {}

    def keep(layer: nn.Module, read: tuple[Any, ...]) -> None:
        found[layer] = tuple(tensor.detach().clone() for tensor in read)

    hooks = [layer.register_forward_pre_hook(keep) for layer in model.children()]
    with precision.autocast(), torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return found


class _LayerTask:
    """A layer with its inputs; `passes` is the number of passes over its weights that a training step takes."""

    def __init__(
        self, layer: nn.Module, inputs: Sequence[Tensor], needed: Sequence[bool], precision: Precision
    ) -> None:
        self._layer, self._inputs, self._needed, self._precision = layer, inputs, needed, precision
        trained = any(parameter.requires_grad for parameter in layer.parameters())
        self.passes = 1 + trained + any(needed)

    def measure(self) -> tuple[float, float]:
        """Return the seconds of a forward and of a backward pass; 0 for one without gradients."""
        device = self._precision.device
        # Copies, because some layers overwrite their input.
        read = [
            tensor.clone().requires_grad_(needed).clone()
            for tensor, needed in zip(self._inputs, self._needed, strict=True)
        ]
        outputs: list[Tensor] = []

        def forward() -> None:
            with self._precision.autocast():
                outputs.append(self._layer(*read))

        seconds = wall_seconds(forward, device)
        (output,) = outputs
        if not output.requires_grad:
            return seconds, 0.0
        gradient = torch.ones_like(output)
        backward: Callable[[], object] = lambda: torch.autograd.backward(output, gradient)  # noqa: E731
        taken = wall_seconds(backward, device)
        self._layer.zero_grad(set_to_none=True)
        return seconds, taken
