"""Gradient norm, update-to-weight ratio and share of zeros of each layer, measured in some of the steps.

Everything is computed on the device. It is read from there when the other metrics are, at a sync point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from alexplore.network.graph import Network
from alexplore.runs.metrics import layer_key
from alexplore.training.metrics import is_recorded
from alexplore.training.model.hooks import SampleHook
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState
from alexplore.training.whole_state import WholeState

MEASURED_AN_EPOCH = 40
"""The approximate number of steps that are measured in an epoch."""

IMAGES = 16
"""The number of images of a batch in which zeros are counted."""

DIGITS = 4
"""The number of significant digits that are written."""


@dataclass(frozen=True)
class WeightedLayer:
    """A layer with parameters that are trained; `weight` is the one that its update is compared with."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    weight: nn.Parameter | None


def is_measured(step: int, interval: int, steps_per_epoch: int, an_epoch: int = MEASURED_AN_EPOCH) -> bool:
    """Return whether a step is measured: about `an_epoch` in an epoch, its last one, and some early ones.

    They are among those after which a metrics line is written.
    """
    every = interval * -(-steps_per_epoch // (an_epoch * interval))
    early = step < every and step & (step - 1) == 0
    return is_recorded(step, interval, steps_per_epoch) and (step % every == 0 or step % steps_per_epoch == 0 or early)


class LayerFigures:
    """Measures the layers of a model, or of one tower of it."""

    def __init__(self, network: Network, model: nn.Module, state: WholeState | TowerState, ranks: Ranks) -> None:
        self._ranks = ranks
        modules = dict(model.named_children())
        layers = [layer for layer in network.layers if layer.name in modules]
        self._weighted = [found for layer in layers if (found := _weighted(layer.name, modules[layer.name]))]
        self._cutting = {layer.name: modules[layer.name] for layer in layers if layer.cuts_off}
        # Layers that one rank has alone count once; of layers that all ranks have, each rank counts an equal part.
        parts = [1.0 if ranks.towers and state.splits(layer.name) else 1 / ranks.size for layer in self._weighted]
        self._parts = torch.tensor(parts, dtype=torch.float64)
        self._measured: dict[int, Tensor] = {}  # by step: a row on the device

    @contextmanager
    def measuring(self) -> Iterator[Measurement]:
        """Measure the step that is done in the `with` block."""
        measurement = Measurement(self._weighted, list(self._cutting))
        hooks = [module.register_forward_hook(measurement.counter(name)) for name, module in self._cutting.items()]
        try:
            yield measurement
        finally:
            for hook in hooks:
                hook.remove()

    def keep(self, step: int, row: Tensor) -> None:
        """Keep the `Measurement.row` of the step after which `step` updates are done."""
        self._measured[step] = row

    def take(self) -> dict[int, dict[str, float]]:
        """Return the figures by step and by their keys in `metrics.jsonl`, and forget them.

        This waits for the device. All ranks must call it together.
        """
        if not self._measured:
            return {}
        rows = torch.stack(list(self._measured.values())).cpu().double()  # not at once: mps has no float64
        steps, count = list(self._measured), len(self._weighted)
        self._measured.clear()
        rows[:, : 3 * count] = rows[:, : 3 * count] ** 2 * self._parts.repeat(3)
        rows = self._ranks.total(rows)
        return {step: self._figures(row.tolist()) for step, row in zip(steps, rows, strict=True)}

    def _figures(self, row: Sequence[float]) -> dict[str, float]:
        count, cutting = len(self._weighted), len(self._cutting)
        gradients, updates, weights = (row[part * count : (part + 1) * count] for part in range(3))
        zeros, values = row[3 * count : 3 * count + cutting], row[3 * count + cutting :]
        figures = {
            layer_key("grad_norm", layer.name): square**0.5
            for layer, square in zip(self._weighted, gradients, strict=True)
        }
        figures |= {
            layer_key("update_ratio", layer.name): (update / weight) ** 0.5
            for layer, update, weight in zip(self._weighted, updates, weights, strict=True)
            if layer.weight is not None and weight > 0
        }
        figures |= {
            layer_key("zero_share", name): zero / value
            for name, zero, value in zip(self._cutting, zeros, values, strict=True)
            if value > 0
        }
        return {key: float(f"{value:.{DIGITS}g}") for key, value in figures.items()}


class Measurement:
    """One step that is measured."""

    def __init__(self, layers: Sequence[WeightedLayer], cutting: Sequence[str]) -> None:
        self._layers, self._cutting = layers, cutting
        self._zeros: dict[str, tuple[Tensor, int]] = {}
        self._gradients: list[Tensor] = []
        self._before: Mapping[str, Tensor] = {}

    def counter(self, name: str) -> SampleHook:
        """Return a forward hook that counts the zeros in a layer's output."""

        def count(values: Tensor) -> None:
            if name not in self._zeros and len(values):  # of a batch in parts, the first one
                self._zeros[name] = (values == 0).sum(), values.numel()

        return SampleHook(IMAGES, count)

    @torch.no_grad()
    def before_update(self, scale: Tensor) -> None:
        """Take the norms of the gradients, which are multiplied by `scale`, and a copy of the weights."""
        self._gradients = [
            get_total_norm([p.grad for p in layer.parameters if p.grad is not None]) / scale for layer in self._layers
        ]
        self._before = {layer.name: layer.weight.detach().clone() for layer in self._layers if layer.weight is not None}

    @torch.no_grad()
    def row(self) -> Tensor:
        """Return norms of gradients, updates and weights of the layers; zeros and values of those that cut off.

        Called after the update. It is fp32 (3 · layers + 2 · those that cut off,) on the device, and is not read there.
        """
        device = self._gradients[0].device if self._gradients else torch.device("cpu")
        nothing = torch.zeros((), device=device)
        updates, weights = [], []
        for layer in self._layers:
            before = self._before.get(layer.name)
            updates.append(nothing if before is None or layer.weight is None else (layer.weight - before).norm())
            weights.append(nothing if before is None else before.norm())
        counts = [self._zeros.get(name, (nothing, 0)) for name in self._cutting]
        sizes = [nothing.new_full((), size) for _, size in counts]  # made on the device, not copied there
        figures = [*self._gradients, *updates, *weights, *(zeros for zeros, _ in counts), *sizes]
        return torch.stack([figure.float() for figure in figures])


def _weighted(name: str, module: nn.Module) -> WeightedLayer | None:
    """Return a layer's parameters that are trained; None if it has none."""
    parameters = tuple(parameter for parameter in module.parameters() if parameter.requires_grad)
    if not parameters:
        return None
    weight = dict(module.named_parameters()).get("weight")
    return WeightedLayer(name, parameters, weight if weight is not None and weight.requires_grad else None)
