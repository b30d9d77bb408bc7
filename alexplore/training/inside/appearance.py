"""Record a network's kernels, the distributions of its weights, and its feature maps for some fixed images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import Shape
from alexplore.runs.inside import BINS, FeatureMaps, KernelGrid, LayerHistogram, Quantised
from alexplore.training.model.build import logits
from alexplore.training.parallel.towers import TowerState
from alexplore.training.precision import Precision
from alexplore.training.whole_state import WholeState

SHOWN = 3
"""The number of fixed images whose feature maps are kept."""

KERNEL_BYTES = 64 * 1024
MAPS_BYTES = 56 * 1024
"""The most bytes of kernels, and of the maps of all layers together, in a file."""

MOST_MAPS = 12
"""The most channels of a layer whose maps are kept."""

FEW_MAPS = 4
MAP_SIDES = (24, 16, 12, 8)
"""Possible sides of a map, in pixels; the longest is used that leaves room for `FEW_MAPS` maps of each layer."""

DEVIATIONS = 4
"""The smallest range of a histogram, in root mean squares of the values."""


@dataclass(frozen=True)
class Outputs:
    """A network's outputs for the fixed images: distributions, the feature maps of the first images, and scores."""

    histograms: tuple[LayerHistogram, ...]
    maps: tuple[FeatureMaps, ...]
    scores: Tensor
    """Outputs before the softmax (N, classes), in fp32 on the CPU."""


def kernel_grid(network: Network, model: nn.Module, state: WholeState | TowerState) -> KernelGrid | None:
    """Return the kernels of the first convolution; None if there is none. All ranks must call it together."""
    first = next((layer for layer in network.layers if layer.type == "conv2d"), None)
    if first is None:
        return None
    weight = _whole(state, first.name, model.get_parameter(f"{first.name}.weight").detach())
    most = max(1, KERNEL_BYTES // weight[0].numel())
    towers = network.towers if len(weight) <= most else 1
    return KernelGrid(first.name, Quantised.of(weight[:most].float().cpu().numpy()), towers, len(weight))


def weight_histograms(network: Network, model: nn.Module, state: WholeState | TowerState) -> tuple[LayerHistogram, ...]:
    """Return the distributions of the layers' trainable weights. All ranks must call it together."""
    modules = dict(model.named_children())
    found = []
    for layer in network.layers:
        weight = dict(modules[layer.name].named_parameters()).get("weight") if layer.name in modules else None
        if weight is not None and weight.requires_grad:
            found.append(histogram(layer.name, _whole(state, layer.name, weight.detach())))
    return tuple(one for one in found if one is not None)


def look_at(
    images: Tensor, network: Network, model: nn.Module, state: WholeState | TowerState, precision: Precision
) -> Outputs:
    """Return a network's outputs for images (N, C, H, W) of its input's size, with maps for the first `SHOWN`.

    With towers, all ranks must call it together.
    """
    histograms: dict[str, LayerHistogram | None] = {}
    maps: list[FeatureMaps] = []
    limits = map_limits([row.output for row in analyse(network).rows if row.layer.type == "conv2d" and row.output])

    def looking(layer: Layer) -> Callable[..., None]:
        def look(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            outputs = _whole(state, layer.name, output.detach(), axis=1).float()
            histograms[layer.name] = histogram(layer.name, outputs, dead=layer.cuts_off)
            if layer.type == "conv2d" and outputs.dim() == 4:
                maps.extend(feature_maps(layer.name, outputs[:SHOWN], limits))

        return look

    modules = dict(model.named_children())
    looked_at = [layer for layer in network.layers if (layer.neurons or layer.role == "activation")]
    hooks = [modules[layer.name].register_forward_hook(looking(layer)) for layer in looked_at if layer.name in modules]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), precision.autocast():
            scores = logits(model, images)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    found = (histograms.get(layer.name) for layer in looked_at)
    return Outputs(tuple(one for one in found if one is not None), tuple(maps), scores.float().cpu())


class MapLimits(NamedTuple):
    """The most pixels of a side of a map, and the most maps of a layer."""

    side: int
    maps: int


def map_limits(shapes: Sequence[Shape], most_bytes: int = MAPS_BYTES) -> MapLimits:
    """Return limits with which the maps of layers with these output shapes (C, H, W) take at most `most_bytes`."""
    limits = MapLimits(MAP_SIDES[0], MOST_MAPS)
    for side in MAP_SIDES:
        pixels = sum(min(height, side) * min(width, side) for _, height, width in shapes)
        limits = MapLimits(side, max(1, min(MOST_MAPS, most_bytes // max(1, SHOWN * pixels))))
        if limits.maps >= FEW_MAPS:
            break
    return limits


def feature_maps(layer: str, outputs: Tensor, limits: MapLimits) -> list[FeatureMaps]:
    """Return some maps of a layer's outputs (N, C, H, W), of evenly spaced channels, one entry for each image."""
    _, channels, height, width = outputs.shape
    size = min(height, limits.side), min(width, limits.side)
    count = min(channels, limits.maps)
    chosen = [number * channels // count for number in range(count)]
    # On the CPU: mps pools only to sizes that divide the input's.
    values = F.adaptive_avg_pool2d(outputs[:, chosen].cpu(), size).numpy()
    if not np.isfinite(values).all():
        return []
    return [
        FeatureMaps(layer, image, (channels, height, width), tuple(chosen), Quantised.of(one))
        for image, one in enumerate(values)
    ]


def histogram(layer: str, values: Tensor, *, dead: bool = False) -> LayerHistogram | None:
    """Return the distribution of a layer's weights or outputs; None if there are none or one is not finite.

    With `dead` the values are outputs (N, C, …), of which the share of the channels that are 0 everywhere is taken.
    """
    if not values.numel():
        return None
    values = values.float()
    low, high = (float(value) for value in values.aminmax())
    square = float(values.pow(2).mean())
    if not math.isfinite(low + high + square):
        return None
    limit = 2.0 ** math.ceil(math.log2(DEVIATIONS * math.sqrt(square))) if square > 0 else 1.0
    # As `torch.histc`, which has no deterministic implementation on a GPU.
    places = ((values.clamp(-limit, limit) + limit) * (BINS / (2 * limit))).to(torch.int32)
    counts = torch.bincount(places.clamp_(max=BINS - 1).flatten(), minlength=BINS)
    dead_share = None
    if dead:
        largest = values.abs().amax([axis for axis in range(values.dim()) if axis != 1])
        dead_share = float((largest == 0).float().mean())
    return LayerHistogram(
        layer,
        tuple(map(int, counts.tolist())),
        limit,
        mean=float(values.mean()),
        std=float(values.std(correction=0)),
        minimum=low,
        maximum=high,
        zero_share=float((values == 0).float().mean()),
        dead_share=dead_share,
    )


def _whole(state: WholeState | TowerState, layer: str, value: Tensor, axis: int = 0) -> Tensor:
    return state.whole(value, axis) if state.splits(layer) else value
